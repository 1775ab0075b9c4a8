#include "kernels/up_convolution/up_convolution.h"

#include "kernels/convolution/forward/bf16.h"
#include "kernels/up_convolution/reference.h"

namespace lgms::kernels {
namespace {

using Dims = UpConvolutionDims;

constexpr UpConvolutionImpl impls[] = {
#if LGMS_X86
    {"avx512", Device::cpu, Isa::avx512, 16, up_convolution_avx512},
    {"avx2", Device::cpu, Isa::avx2, 8, up_convolution_avx2},
#endif
    {"generic", Device::cpu, Isa::generic, 4, up_convolution_generic},
    {"reference", Device::cpu, Isa::reference, 1, up_convolution_reference<float>}};

#if LGMS_X86
constexpr UpConvolutionImpl bf16_impls[] = {
    {"bf16_tiles", Device::cpu, Isa::avx512, 16, up_convolution_bf16_tiles_avx512, Precision::bf16_tiles},
    {"bf16_pairs", Device::cpu, Isa::avx512, 16, up_convolution_bf16_pairs_avx512, Precision::bf16_pairs}};
#endif

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Rows and planes of a unit, which makes one more on either side.
int64_t strip_of(const Dims& d) { return d.volume ? 8 : std::clamp<int64_t>(d.h / 8, 8, 16); }
int64_t slab_of(const Dims& d) { return d.volume ? std::clamp<int64_t>(d.d / 2, 3, 24) : 1; }

}  // namespace

std::span<const UpConvolutionImpl> up_convolution_impls() { return impls; }
std::span<const UpConvolutionImpl> up_convolution_bf16_impls() {
#if LGMS_X86
  return bf16_impls;
#else
  return {};
#endif
}

int64_t up_convolution_blocks(const Dims& d) { return divide_up(d.d, slab_of(d)) * divide_up(d.h, strip_of(d)); }
int64_t up_convolution_units(const Dims& d) { return d.n * up_convolution_blocks(d); }
UpConvolutionUnit up_convolution_unit(const Dims& d, int64_t unit) {
  const int64_t strip = strip_of(d), slab = slab_of(d), down = divide_up(d.h, strip), deep = divide_up(d.d, slab);
  const int64_t y0 = unit % down * strip, z0 = unit / down % deep * slab;
  return {unit / down / deep, z0, std::min(z0 + slab, d.d), y0, std::min(y0 + strip, d.h)};
}
int64_t up_convolution_pixels(const Dims& d, int64_t block) {
  const UpConvolutionUnit u = up_convolution_unit(d, block);
  return (d.volume ? 2 : 1) * (u.z1 - u.z0) * 2 * (u.y1 - u.y0) * 2 * d.w;
}

// What channels become in a row of x for every tap; three rows of them, doubled, for every tap of the other axes; in
// volumes three planes of those, doubled twice, for every tap of depth.
int64_t up_convolution_scratch(const Dims& d) {
  const int64_t row = 2 * d.w * d.cout, taps_z = d.volume ? 3 : 1;
  const int64_t rows = d.w * d.taps() * d.cout + 3 * taps_z * 3 * row + row + 64;
  return divide_up(rows + (d.volume ? 3 * 3 * 2 * strip_of(d) * row : 0), 16) * 16;
}

namespace {

int64_t scratch_of(const UpConvolutionImpl& row, const Dims& d) {
  const Bf16Cut mixing = bf16_cut(up_convolution_mixing(d));
  return up_convolution_scratch(d) + (row.precision == Precision::f32 ? 0 : divide_up(d.w * d.cin + mixing.slack(), 2));
}
int64_t packed_size(const UpConvolutionImpl& row, const Dims& d) {
  if (row.precision != Precision::f32) return bf16_packed_size(up_convolution_mixing(d));
  return divide_up(d.taps() * d.cout, row.lanes) * row.lanes * d.cin;
}

}  // namespace

PreparedUpConvolution prepare(const Dims& d, const Context& context, Device device) {
  for (const UpConvolutionImpl& row : up_convolution_bf16_impls())
    if (row.precision <= context.precision()) return prepare(d, row, context);
  return prepare(d, pick(up_convolution_impls(), context, device), context);
}
PreparedUpConvolution prepare(const Dims& d, const UpConvolutionImpl& row, const Context& context) {
  return {&row, d, up_convolution_units(d), aligned_bytes<float>(packed_size(row, d)),
          aligned_bytes<float>(scratch_of(row, d)) * context.threads()};
}

void pack(const PreparedUpConvolution& p, const float* weight, float* packed) {
  const Dims& d = p.dims;
  const int64_t lanes = p.row->lanes, taps = d.taps(), outputs = taps * d.cout;
  if (p.row->precision != Precision::f32) {
    const ConvolutionDims mixing = up_convolution_mixing(d);
    const auto of = [&](int64_t, int64_t output, int64_t i, int64_t) {
      return weight[(output % d.cout * d.cin + i) * taps + output / d.cout];
    };
    return bf16_pack_of(mixing, 0, bf16_pack_units(mixing), of, packed);
  }
  for (int64_t v = 0; v < divide_up(outputs, lanes); ++v)
    for (int64_t i = 0; i < d.cin; ++i)
      for (int64_t l = 0; l < lanes; ++l) {
        const int64_t output = v * lanes + l, t = output / d.cout, o = output % d.cout;
        packed[(v * d.cin + i) * lanes + l] = output < outputs ? weight[(o * d.cin + i) * taps + t] : 0;
      }
}

void run(const PreparedUpConvolution& p, const float* x, const float* packed, const Fusing<float>& fusing, float* y,
         float* scratch) {
  const int64_t each = aligned_bytes<float>(scratch_of(*p.row, p.dims)) / int64_t{sizeof(float)};
  parallel_ranges(p.units, 1, [&](int64_t first, int64_t last, int worker) {
    p.row->run(p.dims, first, last, x, packed, fusing, y, scratch + worker * each);
  });
}

}  // namespace lgms::kernels
