#include "kernels/max_pool/max_pool.h"

#include "kernels/max_pool/reference.h"

namespace lgms::kernels {
namespace {

constexpr Impl<MaxPoolForward> forward_impls[] = {
#if LGMS_X86
    {"avx512", Device::cpu, Isa::avx512, max_pool_forward_avx512},
    {"avx2", Device::cpu, Isa::avx2, max_pool_forward_avx2},
#endif
    {"generic", Device::cpu, Isa::generic, max_pool_forward_generic},
    {"reference", Device::cpu, Isa::reference, max_pool_forward_reference<float>}};
constexpr Impl<MaxPoolBackward> backward_impls[] = {
#if LGMS_X86
    {"avx512", Device::cpu, Isa::avx512, max_pool_backward_avx512},
    {"avx2", Device::cpu, Isa::avx2, max_pool_backward_avx2},
#endif
    {"generic", Device::cpu, Isa::generic, max_pool_backward_generic},
    {"reference", Device::cpu, Isa::reference, max_pool_backward_reference<float>}};

// Lines of y along W.
int64_t units_of(const MaxPoolDims& d) { return d.n * (d.d / d.window_d) * (d.h / 2); }
MaxPoolLine line_of(const MaxPoolDims& d) {
  MaxPoolLine l{d.w / 2, d.c, d.ldx, d.ldy, 4 * d.window_d, {}};
  for (int64_t tap = 0; tap < l.taps; ++tap) l.offset[tap] = ((tap / 4 * d.h + tap / 2 % 2) * d.w + tap % 2) * d.ldx;
  return l;
}
// The pixel of x where a line's first window starts.
int64_t pixel_of(const MaxPoolDims& d, int64_t unit) {
  const int64_t down = d.h / 2, deep = d.d / d.window_d;
  return ((unit / (down * deep) * d.d + unit / down % deep * d.window_d) * d.h + 2 * (unit % down)) * d.w;
}

MaxPoolDims dims_of(const TensorView& x, const char* x_name, int rank, const TensorView& y, const char* y_name,
                    const TensorView& index) {
  expect_activations("max_pool", x_name, x);
  check(rank == 2 || rank == 3, ErrorKind::usage, "[max_pool] rank: expected 2 or 3, got ", rank);
  const Shape& s = x.shape();
  const MaxPoolDims d{s[0], s[1], s[2], s[3], s[4], rank - 1, x.row_stride(), y.row_stride()};
  expect_shape("max_pool", y_name, y, {d.n, d.d / d.window_d, d.h / 2, d.w / 2, d.c});
  expect_like("max_pool", y_name, y, x);
  if (index.defined()) {
    expect_shape("max_pool", "index", index, y.shape());
    expect_type("max_pool", "index", index, DType::u8);
    expect_device("max_pool", "index", index, x);
    expect_dense("max_pool", "index", index);
  }
  return d;
}

void zero(const TensorView& t) {
  for (int64_t row = 0; row < t.rows(); ++row)
    if (t.dtype() == DType::f64)
      std::fill_n(t.data<double>() + row * t.row_stride(), t.channels(), 0.);
    else
      std::fill_n(t.data<float>() + row * t.row_stride(), t.channels(), 0.f);
}

// each(line, pixel of x, pixel of y)
template <class Each>
void for_lines(const MaxPoolDims& d, const Each& each) {
  const MaxPoolLine l = line_of(d);
  parallel_ranges(units_of(d), 1 + 16384 / (d.w * d.c + 1), [&](int64_t first, int64_t last, int) {
    for (int64_t unit = first; unit < last; ++unit) each(l, pixel_of(d, unit), unit * l.outputs);
  });
}

template <class T, class Run>
void forward(const MaxPoolDims& d, const T* x, T* y, uint8_t* index, Run* run) {
  for_lines(d, [&](const MaxPoolLine& l, int64_t from, int64_t into) {
    run(l, x + from * d.ldx, y + into * d.ldy, index ? index + into * d.c : nullptr);
  });
}

template <class T, class Run>
void backward(const MaxPoolDims& d, const TensorView& dy, const TensorView& index, const TensorView& dx, Run* run) {
  for_lines(d, [&](const MaxPoolLine& l, int64_t into, int64_t from) {
    run(l, dy.data<T>() + from * d.ldy, index.data<uint8_t>() + from * d.c, dx.data<T>() + into * d.ldx);
  });
}

}  // namespace

std::span<const Impl<MaxPoolForward>> max_pool_forward_impls() { return forward_impls; }
std::span<const Impl<MaxPoolBackward>> max_pool_backward_impls() { return backward_impls; }

PreparedMaxPool prepare(const MaxPoolDims& d, const Context& context, Device device) {
  return {&pick(max_pool_forward_impls(), context, device), d, units_of(d)};
}

void run(const PreparedMaxPool& p, const float* x, float* y, uint8_t* index) {
  forward(p.dims, x, y, index, p.row->run);
}

void max_pool_forward(const TensorView& x, int rank, const TensorView& y, const TensorView& index) {
  const MaxPoolDims d = dims_of(x, "x", rank, y, "y", index);
  uint8_t* const winners = data_or_null<uint8_t>(index);
  const HostRows host(x.device());
  if (x.dtype() == DType::f64)
    forward(d, x.data<double>(), y.data<double>(), winners, max_pool_forward_reference<double>);
  else
    run(prepare(d, Context::current(), x.device()), x.data<float>(), y.data<float>(), winners);
}

void max_pool_backward(const TensorView& dy, const TensorView& index, int rank, const TensorView& dx) {
  check(index.defined(), ErrorKind::usage, "[max_pool] index: expected the one of the forward pass, got none");
  const MaxPoolDims d = dims_of(dx, "dx", rank, dy, "dy", index);
  const HostRows host(dx.device());
  if (d.d % d.window_d || d.h % 2 || d.w % 2) zero(dx);  // elements that no window covers
  if (dx.dtype() == DType::f64)
    backward<double>(d, dy, index, dx, max_pool_backward_reference<double>);
  else
    backward<float>(d, dy, index, dx, pick(max_pool_backward_impls(), Context::current(), dx.device()).run);
}

}  // namespace lgms::kernels
