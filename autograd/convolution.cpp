#include "kernels/convolution/convolution.h"

#include "autograd/ops.h"
#if __has_include("kernels/convolution/weight_gradient.h")
#include "kernels/convolution/weight_gradient.h"
#else
namespace lgms::kernels {
template <class T>
static void weight_gradient_as(const ConvolutionDims& d, const T* x, const T* dy, T* dweight, T* dbias) {
  const int64_t cin = d.cin / d.groups, cout = d.cout / d.groups;
  Context::current().parallel(d.cout, [&](int64_t o, int) {
    T* const dw = dweight + o * cin * d.taps();
    std::fill(dw, dw + cin * d.taps(), T{0});
    T sum = 0;
    for (int64_t r = 0; r < d.rows(); ++r) {
      const int64_t w = r % d.w, h = r / d.w % d.h, z = r / d.w / d.h % d.d;
      const T g = dy[r * d.ldy + o];
      sum += g;
      for (int64_t t = 0; t < d.taps(); ++t) {
        const int64_t tx = t % d.kw - d.kw / 2, ty = t / d.kw % d.kh - d.kh / 2, tz = t / d.kw / d.kh - d.kd / 2;
        if (w + tx < 0 || h + ty < 0 || z + tz < 0 || w + tx >= d.w || h + ty >= d.h || z + tz >= d.d) continue;
        const T* const in = x + (r + (tz * d.h + ty) * d.w + tx) * d.ldx + o / cout * cin;
        for (int64_t i = 0; i < cin; ++i) dw[i * d.taps() + t] += g * in[i];
      }
    }
    if (dbias) dbias[o] = sum;
  });
}
static void convolution_weight_gradient(const TensorView& x, const TensorView& dy, int64_t groups,
                                        const TensorView& dweight, const TensorView& dbias) {
  const ConvolutionDims d = convolution_dims("convolution", x, dweight, groups, dy, false, true, true);
  if (x.dtype() == DType::f64)
    weight_gradient_as(d, x.data<double>(), dy.data<double>(), dweight.data<double>(),
                       dbias.defined() ? dbias.data<double>() : nullptr);
  else
    weight_gradient_as(d, x.data<float>(), dy.data<float>(), dweight.data<float>(),
                       dbias.defined() ? dbias.data<float>() : nullptr);
}
}  // namespace lgms::kernels
#endif

namespace lgms::autograd {

Variable convolution(const Variable& x, const Variable& weight, const Variable& bias, int64_t groups) {
  Tensor y =
      Tensor::empty(x.shape().with_channels(weight.shape().rank() == 0 ? 0 : weight.shape()[0]), x.value().dtype());
  kernels::convolution_forward(x.value(), weight.value(), bias.value(), groups, y);
  // dx = dy convolved with the turned weights; dweight[o,i,t] = sum_p x[p+t,i] dy[p,o]; dbias[o] = sum_p dy[p,o]
  return Variable::from_op("convolution", y, {x, weight, bias}, {x.value(), weight.value()},
                           [groups](std::span<const Tensor> saved, const Tensor& dy, Grads& grads) {
                             const Tensor &in = saved[0], &w = saved[1];
                             if (grads.wants(0)) {
                               Tensor dx = Tensor::empty(in.shape(), in.dtype());
                               kernels::convolution_data_gradient(dy, w, groups, dx);
                               grads.put(0, dx);
                             }
                             if (grads.wants(1) || grads.wants(2)) {
                               Tensor dweight = Tensor::empty(w.shape(), w.dtype());
                               Tensor dbias = grads.wants(2) ? Tensor::empty({w.shape()[0]}, w.dtype()) : Tensor();
                               kernels::convolution_weight_gradient(in, dy, groups, dweight, dbias);
                               grads.put(1, dweight);
                               grads.put(2, dbias);
                             }
                           });
}

}  // namespace lgms::autograd
