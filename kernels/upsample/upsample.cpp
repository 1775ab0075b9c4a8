#include "kernels/upsample/upsample.h"

#include "kernels/upsample/reference.h"

namespace lgms::kernels {
namespace {

constexpr Impl<UpsampleForward> forward_impls[] = {
#if LGMS_X86
    {"avx512", Device::cpu, Isa::avx512, upsample_forward_avx512},
    {"avx2", Device::cpu, Isa::avx2, upsample_forward_avx2},
#endif
    {"generic", Device::cpu, Isa::generic, upsample_forward_generic},
    {"reference", Device::cpu, Isa::reference, upsample_forward_reference<float>}};
constexpr Impl<UpsampleBackward> backward_impls[] = {
#if LGMS_X86
    {"avx512", Device::cpu, Isa::avx512, upsample_backward_avx512},
    {"avx2", Device::cpu, Isa::avx2, upsample_backward_avx2},
#endif
    {"generic", Device::cpu, Isa::generic, upsample_backward_generic},
    {"reference", Device::cpu, Isa::reference, upsample_backward_reference<float>}};

// What line o of the result is made of along one axis: indices and weights of the other side's lines.
struct Taps {
  int count;
  int64_t at[4];
  float weight[4];
};
Taps forward_taps(int64_t o, int64_t n, int64_t scale) {
  if (scale == 1) return {1, {o}, {1.f}};
  return {2, {o / 2, std::clamp<int64_t>(o / 2 + (o % 2 ? 1 : -1), 0, n - 1)}, {0.75f, 0.25f}};
}
Taps backward_taps(int64_t i, int64_t n, int64_t scale) {
  if (scale == 1) return {1, {i}, {1.f}};
  return {4,
          {std::max<int64_t>(2 * i - 1, 0), 2 * i, 2 * i + 1, std::min(2 * i + 2, 2 * n - 1)},
          {0.25f, 0.75f, 0.75f, 0.25f}};
}

// The taps of both axes into lines of a tensor [N, D, H, W, C]; pitch: elements per line.
UpsampleLine line_of(const UpsampleDims& d, const Taps& td, const Taps& th, int64_t image, int64_t depth,
                     int64_t height, int64_t pitch) {
  UpsampleLine l{d.w, d.c, d.ldx, d.ldy, 0, {}, {}};
  for (int i = 0; i < td.count; ++i)
    for (int j = 0; j < th.count; ++j, ++l.taps) {
      l.offset[l.taps] = ((image * depth + td.at[i]) * height + th.at[j]) * pitch;
      l.weight[l.taps] = td.weight[i] * th.weight[j];
    }
  return l;
}

UpsampleDims dims_of(const TensorView& x, int rank, const TensorView& y, const char* x_name, const char* y_name) {
  expect_activations("upsample", x_name, x);
  check(rank == 2 || rank == 3, ErrorKind::usage, "[upsample] rank: expected 2 or 3, got ", rank);
  const Shape& s = x.shape();
  const UpsampleDims d{s[0], s[1], s[2], s[3], s[4], rank - 1, x.row_stride(), y.row_stride()};
  expect_shape("upsample", y_name, y, {d.n, d.d * d.scale_d, 2 * d.h, 2 * d.w, d.c});
  expect_like("upsample", y_name, y, x);
  return d;
}

// each(line) for the n * depth * height lines of the result, on all threads.
template <class Each>
void for_lines(const UpsampleDims& d, int64_t lines, const Each& each) {
  if (d.w == 0) return;
  parallel_ranges(lines, 1 + 16384 / (2 * d.w * d.c + 1), [&](int64_t first, int64_t last, int) {
    for (int64_t line = first; line < last; ++line) each(line);
  });
}

template <class T, class Run>
void forward(const UpsampleDims& d, const T* x, T* y, Run* run) {
  const int64_t depth = d.d * d.scale_d, height = 2 * d.h;
  for_lines(d, d.n * depth * height, [&](int64_t line) {
    const Taps td = forward_taps(line / height % depth, d.d, d.scale_d), th = forward_taps(line % height, d.h, 2);
    run(line_of(d, td, th, line / height / depth, d.d, d.h, d.w * d.ldx), x, y + line * 2 * d.w * d.ldy);
  });
}

template <class T, class Run>
void backward(const UpsampleDims& d, const TensorView& dy, const TensorView& dx, Run* run) {
  for_lines(d, d.n * d.d * d.h, [&](int64_t line) {
    const Taps td = backward_taps(line / d.h % d.d, d.d, d.scale_d), th = backward_taps(line % d.h, d.h, 2);
    run(line_of(d, td, th, line / d.h / d.d, d.d * d.scale_d, 2 * d.h, 2 * d.w * d.ldy), dy.data<T>(),
        dx.data<T>() + line * d.w * d.ldx);
  });
}

}  // namespace

std::span<const Impl<UpsampleForward>> upsample_forward_impls() { return forward_impls; }
std::span<const Impl<UpsampleBackward>> upsample_backward_impls() { return backward_impls; }

PreparedUpsample prepare(const UpsampleDims& d, const Context& context, Device device) {
  return {&pick(upsample_forward_impls(), context, device), d, d.n * d.d * d.scale_d * 2 * d.h};
}

void run(const PreparedUpsample& p, const float* x, float* y) { forward(p.dims, x, y, p.row->run); }

void upsample_forward(const TensorView& x, int rank, const TensorView& y) {
  const UpsampleDims d = dims_of(x, rank, y, "x", "y");
  const HostRows host(x.device());
  if (x.dtype() == DType::f64)
    forward(d, x.data<double>(), y.data<double>(), upsample_forward_reference<double>);
  else
    run(prepare(d, Context::current(), x.device()), x.data<float>(), y.data<float>());
}

void upsample_backward(const TensorView& dy, int rank, const TensorView& dx) {
  const UpsampleDims d = dims_of(dx, rank, dy, "dx", "dy");
  const HostRows host(dx.device());
  if (dx.dtype() == DType::f64)
    backward<double>(d, dy, dx, upsample_backward_reference<double>);
  else
    backward<float>(d, dy, dx, pick(upsample_backward_impls(), Context::current(), dx.device()).run);
}

}  // namespace lgms::kernels
