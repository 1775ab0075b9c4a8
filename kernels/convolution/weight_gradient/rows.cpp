#include "kernels/convolution/weight_gradient/reference.h"
#include "kernels/convolution/weight_gradient/weight_gradient.h"

namespace lgms::kernels {
namespace {

constexpr int64_t kSlab = 1024;  // pixels per unit, about

bool accepts_all(const CorrelationDims&) { return true; }
int64_t no_scratch(const CorrelationDims&) { return 0; }

bool accepts_winograd(const CorrelationDims& d) {
  return d.kh == 3 && d.kw == 3 && d.ca >= 16 && d.cb >= 16 && d.h >= 4 && d.w >= 4;
}

constexpr CorrelationImpl impls[] = {
#if LGMS_X86
    {"winograd_avx512", Device::cpu, Isa::avx512, accepts_winograd, correlation_winograd_scratch_avx512,
     correlation_winograd_avx512},
    {"direct_avx512", Device::cpu, Isa::avx512, accepts_all, correlation_scratch_avx512, correlation_avx512},
    {"winograd_avx2", Device::cpu, Isa::avx2, accepts_winograd, correlation_winograd_scratch_avx2,
     correlation_winograd_avx2},
    {"direct_avx2", Device::cpu, Isa::avx2, accepts_all, correlation_scratch_avx2, correlation_avx2},
#endif
    {"winograd_generic", Device::cpu, Isa::generic, accepts_winograd, correlation_winograd_scratch_generic,
     correlation_winograd_generic},
    {"direct_generic", Device::cpu, Isa::generic, accepts_all, correlation_scratch_generic, correlation_generic},
    {"reference", Device::cpu, Isa::reference, accepts_all, no_scratch, correlation_reference<float>},
};

// The slab that starts an image: all rows of as many slices as make kSlab pixels, or else as many rows as do,
// over several slices where the window has depth (slices that a window shares are transformed once per slab).
Slab largest_slab(const CorrelationDims& d) {
  const int64_t slice = std::max<int64_t>(d.h * d.w, 1), depth = std::max<int64_t>(d.d, 1);
  if (slice <= kSlab) return {0, 0, std::min(kSlab / slice, depth), 0, std::max<int64_t>(d.h, 1)};
  const int64_t slices = std::min<int64_t>(d.kd > 1 ? 4 : 1, depth);
  return {0, 0, slices, 0, std::min(d.h, std::max<int64_t>(kSlab / slices / d.w / 4, 1) * 4)};
}

}  // namespace

int64_t correlation_units(const CorrelationDims& d) {
  if (d.n * d.d * d.h * d.w == 0) return 0;
  const Slab s = largest_slab(d);
  return d.n * ((d.d + s.slices - 1) / s.slices) * ((d.h + s.rows - 1) / s.rows);
}

Slab correlation_slab(const CorrelationDims& d, int64_t unit) {
  Slab s = largest_slab(d);
  if (unit == 0) return s;
  const int64_t down = (d.h + s.rows - 1) / s.rows, deep = (d.d + s.slices - 1) / s.slices;
  s = {unit / down / deep, unit / down % deep * s.slices, s.slices, unit % down * s.rows, s.rows};
  s.slices = std::min(s.slices, d.d - s.z);
  s.rows = std::min(s.rows, d.h - s.y);
  return s;
}

std::span<const CorrelationImpl> correlation_impls() { return impls; }

}  // namespace lgms::kernels
