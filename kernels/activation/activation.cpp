#include "kernels/activation/activation.h"

#include "kernels/activation/reference.h"

namespace lgms::kernels {
namespace {

constexpr ActivationImpl impls[] = {
#if LGMS_X86
    {"avx512", Isa::avx512, activation_forward_avx512, activation_backward_avx512},
    {"avx2", Isa::avx2, activation_forward_avx2, activation_backward_avx2},
#endif
    {"generic", Isa::generic, activation_forward_generic, activation_backward_generic},
    {"reference", Isa::reference, activation_forward_reference<float>, activation_backward_reference<float>}};

// Dense tensors are one long row, cut anywhere: run(dims, first element of x, of dy, of the result).
template <class Run>
void over_rows(const TensorView& x, const TensorView& dy, Activation kind, const TensorView& y, const Run& run) {
  const bool dense = x.is_dense() && dy.is_dense() && y.is_dense();
  const int64_t c = x.channels(), units = dense ? x.numel() : x.rows();
  parallel_ranges(units, dense ? 16384 : 1 + 16384 / std::max<int64_t>(c, 1), [&](int64_t first, int64_t last, int) {
    if (dense)
      run(ActivationDims{1, last - first, 0, 0, 0, kind}, first, first, first);
    else
      run(ActivationDims{last - first, c, x.row_stride(), y.row_stride(), dy.row_stride(), kind},
          first * x.row_stride(), first * dy.row_stride(), first * y.row_stride());
  });
}

template <class T, class Run>
void forward(const TensorView& x, Activation kind, const TensorView& y, Run* run) {
  over_rows(x, x, kind, y, [&](const ActivationDims& d, int64_t at_x, int64_t, int64_t at_y) {
    run(d, x.data<T>() + at_x, y.data<T>() + at_y);
  });
}

template <class T, class Run>
void backward(const TensorView& x, const TensorView& dy, Activation kind, const TensorView& dx, Run* run) {
  over_rows(x, dy, kind, dx, [&](const ActivationDims& d, int64_t at_x, int64_t at_dy, int64_t at_dx) {
    run(d, x.data<T>() + at_x, dy.data<T>() + at_dy, dx.data<T>() + at_dx);
  });
}

}  // namespace

std::span<const ActivationImpl> activation_impls() { return impls; }

void activation_forward(const TensorView& x, Activation kind, const TensorView& y) {
  expect_shape("activation", "y", y, x.shape());
  expect_type("activation", "y", y, x.dtype());
  if (x.dtype() == DType::f64)
    forward<double>(x, kind, y, activation_forward_reference<double>);
  else
    forward<float>(x, kind, y, pick(activation_impls()).forward);
}

void activation_backward(const TensorView& x, const TensorView& dy, Activation kind, const TensorView& dx) {
  expect_shape("activation", "dy", dy, x.shape());
  expect_type("activation", "dy", dy, x.dtype());
  expect_shape("activation", "dx", dx, x.shape());
  expect_type("activation", "dx", dx, x.dtype());
  if (x.dtype() == DType::f64)
    backward<double>(x, dy, kind, dx, activation_backward_reference<double>);
  else
    backward<float>(x, dy, kind, dx, pick(activation_impls()).backward);
}

}  // namespace lgms::kernels
