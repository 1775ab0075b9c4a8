#include "kernels/activation/activation.h"

#include "kernels/activation/reference.h"

namespace lgms::kernels {
namespace {

constexpr ActivationImpl impls[] = {
#if LGMS_X86
    {"avx512", Device::cpu, Isa::avx512, activation_forward_avx512, activation_backward_avx512},
    {"avx2", Device::cpu, Isa::avx2, activation_forward_avx2, activation_backward_avx2},
#endif
    {"generic", Device::cpu, Isa::generic, activation_forward_generic, activation_backward_generic},
    {"reference", Device::cpu, Isa::reference, activation_forward_reference<float>,
     activation_backward_reference<float>}};

bool is_dense(const ActivationDims& d) {
  return d.rows <= 1 || (d.ldx == d.c && d.ldy == d.c && (d.lddy == 0 || d.lddy == d.c));
}

// Dense tensors are one long row, cut anywhere: body(dims, first element of x, of dy, of the result).
template <class Body>
void over_rows(const ActivationDims& d, const Body& body) {
  const bool dense = is_dense(d);
  parallel_ranges(dense ? d.rows * d.c : d.rows, dense ? 16384 : 1 + 16384 / std::max<int64_t>(d.c, 1),
                  [&](int64_t first, int64_t last, int) {
                    if (dense)
                      body(ActivationDims{1, last - first, 0, 0, 0, d.kind}, first, first, first);
                    else
                      body(ActivationDims{last - first, d.c, d.ldx, d.ldy, d.lddy, d.kind}, first * d.ldx,
                           first * d.lddy, first * d.ldy);
                  });
}

template <class T, class Run>
void forward(const ActivationDims& all, const T* x, T* y, Run* run) {
  over_rows(all, [&](const ActivationDims& d, int64_t at_x, int64_t, int64_t at_y) { run(d, x + at_x, y + at_y); });
}

template <class T, class Run>
void backward(const ActivationDims& all, const T* x, const T* dy, T* dx, Run* run) {
  over_rows(all, [&](const ActivationDims& d, int64_t at_x, int64_t at_dy, int64_t at_dx) {
    run(d, x + at_x, dy + at_dy, dx + at_dx);
  });
}

}  // namespace

std::span<const ActivationImpl> activation_impls() { return impls; }

PreparedActivation prepare(const ActivationDims& d, const Context& context, Device device) {
  return {&pick(activation_impls(), context, device), d, is_dense(d) ? d.rows * d.c : d.rows};
}

void run(const PreparedActivation& p, const float* x, float* y) { forward(p.dims, x, y, p.row->forward); }

void activation_forward(const TensorView& x, Activation kind, const TensorView& y) {
  expect_float("activation", "x", x);
  expect_shape("activation", "y", y, x.shape());
  expect_like("activation", "y", y, x);
  const ActivationDims d{x.rows(), x.channels(), x.row_stride(), y.row_stride(), 0, kind};
  const HostRows host(x.device());
  if (x.dtype() == DType::f64)
    forward(d, x.data<double>(), y.data<double>(), activation_forward_reference<double>);
  else
    run(prepare(d, Context::current(), x.device()), x.data<float>(), y.data<float>());
}

void activation_backward(const TensorView& x, const TensorView& dy, Activation kind, const TensorView& dx) {
  expect_float("activation", "x", x);
  expect_shape("activation", "dy", dy, x.shape());
  expect_like("activation", "dy", dy, x);
  expect_shape("activation", "dx", dx, x.shape());
  expect_like("activation", "dx", dx, x);
  const ActivationDims d{x.rows(), x.channels(), x.row_stride(), dx.row_stride(), dy.row_stride(), kind};
  const HostRows host(x.device());
  if (x.dtype() == DType::f64)
    backward(d, x.data<double>(), dy.data<double>(), dx.data<double>(), activation_backward_reference<double>);
  else
    backward(d, x.data<float>(), dy.data<float>(), dx.data<float>(),
             pick(activation_impls(), Context::current(), x.device()).backward);
}

}  // namespace lgms::kernels
