#include "kernels/layer_norm/layer_norm.h"

#include "autograd/ops.h"

namespace lgms::autograd {

Variable layer_norm(const Variable& x, const Variable& gamma, const Variable& beta, double eps) {
  const Tensor y = Tensor::empty(x.shape(), x.value().dtype());
  kernels::layer_norm_forward(x.value(), gamma.value(), beta.value(), eps, y);
  return Variable::from_op("layer_norm", y, {x, gamma, beta}, {x, gamma.value()},
                           [eps](std::span<const Tensor> saved, const Tensor& dy, Grads& grads) {
                             const Tensor &in = saved[0], &scale = saved[1];
                             Tensor dx, dgamma, dbeta;
                             if (grads.wants(0)) dx = Tensor::empty(in.shape(), in.dtype());
                             if (grads.wants(1) || grads.wants(2)) {
                               dgamma = Tensor::empty(scale.shape(), in.dtype());
                               dbeta = Tensor::empty(scale.shape(), in.dtype());
                             }
                             kernels::layer_norm_backward(in, scale, dy, eps, dx, dgamma, dbeta);
                             if (grads.wants(0)) grads.put(0, dx);
                             if (grads.wants(1)) grads.put(1, dgamma);
                             if (grads.wants(2)) grads.put(2, dbeta);
                           });
}

}  // namespace lgms::autograd
