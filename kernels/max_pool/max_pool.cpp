#include "kernels/max_pool/max_pool.h"

#include "kernels/max_pool/reference.h"

namespace lgms::kernels {
namespace {

constexpr Impl<MaxPoolForward> forward_impls[] = {
#if LGMS_X86
    {"avx512", Isa::avx512, max_pool_forward_avx512},
    {"avx2", Isa::avx2, max_pool_forward_avx2},
#endif
    {"generic", Isa::generic, max_pool_forward_generic},
    {"reference", Isa::reference, max_pool_forward_reference<float>}};
constexpr Impl<MaxPoolBackward> backward_impls[] = {
#if LGMS_X86
    {"avx512", Isa::avx512, max_pool_backward_avx512},
    {"avx2", Isa::avx2, max_pool_backward_avx2},
#endif
    {"generic", Isa::generic, max_pool_backward_generic},
    {"reference", Isa::reference, max_pool_backward_reference<float>}};

// d, h, w: of x; window_d: 1 or 2.
struct MaxPoolDims {
  int64_t n, d, h, w, c, window_d, ldx, ldy;
  int64_t units() const { return n * (d / window_d) * (h / 2); }  // lines of y along W
  MaxPoolLine line() const {
    MaxPoolLine l{w / 2, c, ldx, ldy, 4 * window_d, {}};
    for (int64_t tap = 0; tap < l.taps; ++tap) l.offset[tap] = ((tap / 4 * h + tap / 2 % 2) * w + tap % 2) * ldx;
    return l;
  }
  // The pixel of x where a line's first window starts.
  int64_t pixel(int64_t unit) const {
    const int64_t oh = unit % (h / 2), od = unit / (h / 2) % (d / window_d), image = unit / (h / 2 * (d / window_d));
    return ((image * d + od * window_d) * h + 2 * oh) * w;
  }
};

MaxPoolDims dims_of(const TensorView& x, const char* x_name, int rank, const TensorView& y, const char* y_name,
                    const TensorView& index) {
  expect_activations("max_pool", x_name, x);
  check(rank == 2 || rank == 3, ErrorKind::usage, "[max_pool] rank: expected 2 or 3, got ", rank);
  const Shape& s = x.shape();
  const MaxPoolDims d{s[0], s[1], s[2], s[3], s[4], rank - 1, x.row_stride(), y.row_stride()};
  expect_shape("max_pool", y_name, y, {d.n, d.d / d.window_d, d.h / 2, d.w / 2, d.c});
  expect_type("max_pool", y_name, y, x.dtype());
  if (index.defined()) {
    expect_shape("max_pool", "index", index, y.shape());
    expect_type("max_pool", "index", index, DType::u8);
    check(index.is_dense(), ErrorKind::usage, "[max_pool] index: expected a dense tensor");
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
  const MaxPoolLine l = d.line();
  parallel_ranges(d.units(), 1 + 16384 / (d.w * d.c + 1), [&](int64_t first, int64_t last, int) {
    for (int64_t unit = first; unit < last; ++unit) each(l, d.pixel(unit), unit * l.outputs);
  });
}

template <class T, class Run>
void forward(const MaxPoolDims& d, const TensorView& x, const TensorView& y, const TensorView& index, Run* run) {
  uint8_t* const winners = index.defined() ? index.data<uint8_t>() : nullptr;
  for_lines(d, [&](const MaxPoolLine& l, int64_t from, int64_t into) {
    run(l, x.data<T>() + from * d.ldx, y.data<T>() + into * d.ldy, winners ? winners + into * d.c : nullptr);
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

void max_pool_forward(const TensorView& x, int rank, const TensorView& y, const TensorView& index) {
  const MaxPoolDims d = dims_of(x, "x", rank, y, "y", index);
  if (x.dtype() == DType::f64)
    forward<double>(d, x, y, index, max_pool_forward_reference<double>);
  else
    forward<float>(d, x, y, index, pick(max_pool_forward_impls()).run);
}

void max_pool_backward(const TensorView& dy, const TensorView& index, int rank, const TensorView& dx) {
  check(index.defined(), ErrorKind::usage, "[max_pool] index: expected the one of the forward pass, got none");
  const MaxPoolDims d = dims_of(dx, "dx", rank, dy, "dy", index);
  if (d.d % d.window_d || d.h % 2 || d.w % 2) zero(dx);  // elements that no window covers
  if (dx.dtype() == DType::f64)
    backward<double>(d, dy, index, dx, max_pool_backward_reference<double>);
  else
    backward<float>(d, dy, index, dx, pick(max_pool_backward_impls()).run);
}

}  // namespace lgms::kernels
