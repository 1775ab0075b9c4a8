#include "kernels/max_pool/max_pool.h"

#include "kernels/max_pool/reference.h"

namespace lgms::kernels {
namespace {

constexpr Impl<MaxPoolForward> forward_impls[] = {{"generic", Isa::generic, max_pool_forward_generic},
                                                  {"reference", Isa::reference, max_pool_forward_reference<float>}};
constexpr Impl<MaxPoolBackward> backward_impls[] = {{"generic", Isa::generic, max_pool_backward_generic},
                                                    {"reference", Isa::reference, max_pool_backward_reference<float>}};

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

template <class Run, class... Pointers>
void in_parallel(const MaxPoolDims& d, Run* run, Pointers... pointers) {
  parallel_ranges(d.units(), 1 + 16384 / (d.w * d.c + 1),
                  [&](int64_t first, int64_t last, int) { run(d, first, last, pointers...); });
}

}  // namespace

std::span<const Impl<MaxPoolForward>> max_pool_forward_impls() { return forward_impls; }
std::span<const Impl<MaxPoolBackward>> max_pool_backward_impls() { return backward_impls; }

void max_pool_forward(const TensorView& x, int rank, const TensorView& y, const TensorView& index) {
  const MaxPoolDims d = dims_of(x, "x", rank, y, "y", index);
  uint8_t* const winners = index.defined() ? index.data<uint8_t>() : nullptr;
  if (x.dtype() == DType::f64)
    in_parallel(d, max_pool_forward_reference<double>, x.data<double>(), y.data<double>(), winners);
  else
    in_parallel(d, pick(max_pool_forward_impls()).run, x.data<float>(), y.data<float>(), winners);
}

void max_pool_backward(const TensorView& dy, const TensorView& index, int rank, const TensorView& dx) {
  check(index.defined(), ErrorKind::usage, "[max_pool] index: expected the one of the forward pass, got none");
  const MaxPoolDims d = dims_of(dx, "dx", rank, dy, "dy", index);
  if (d.d % d.window_d || d.h % 2 || d.w % 2) zero(dx);  // elements that no window covers
  if (dx.dtype() == DType::f64)
    in_parallel(d, max_pool_backward_reference<double>, dy.data<double>(), index.data<uint8_t>(), dx.data<double>());
  else
    in_parallel(d, pick(max_pool_backward_impls()).run, dy.data<float>(), index.data<uint8_t>(), dx.data<float>());
}

}  // namespace lgms::kernels
