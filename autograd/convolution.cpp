#include "kernels/convolution/convolution.h"

#include "autograd/ops.h"
#include "kernels/convolution/weight_gradient/weight_gradient.h"

namespace lgms::autograd {

Variable convolution(const Variable& x, const Variable& weight, const Variable& bias, int64_t groups) {
  Tensor y =
      Tensor::empty(x.shape().with_channels(weight.shape().rank() == 0 ? 0 : weight.shape()[0]), x.value().dtype());
  const bool trains = gradients_enabled() && (x.requires_grad() || weight.requires_grad());
  kernels::convolution_forward(x.value(), weight.value(), bias.value(), groups, y,
                               trains ? kernels::Rounding::direct : kernels::Rounding::transformed);
  // dx = dy convolved with the turned weights; dweight[o,i,t] = sum_p x[p+t,i] dy[p,o]; dbias[o] = sum_p dy[p,o]
  return Variable::from_op("convolution", y, {x, weight, bias}, {x, weight.value()},
                           [groups](std::span<Tensor> saved, const Tensor& dy, Grads& grads) {
                             const Tensor& w = saved[1];
                             const Shape shape = saved[0].shape();
                             if (grads.wants(1) || grads.wants(2)) {
                               Tensor dweight = Tensor::empty(w.shape(), w.dtype());
                               Tensor dbias = grads.wants(2) ? Tensor::empty({w.shape()[0]}, w.dtype()) : Tensor();
                               kernels::convolution_weight_gradient(saved[0], dy, groups, dweight, dbias);
                               grads.put(1, dweight);
                               grads.put(2, dbias);
                             }
                             saved[0] = {};  // dx takes its place
                             if (!grads.wants(0)) return;
                             Tensor dx = Tensor::empty(shape, w.dtype());
                             kernels::convolution_data_gradient(dy, w, groups, dx);
                             grads.put(0, dx);
                           });
}

}  // namespace lgms::autograd
