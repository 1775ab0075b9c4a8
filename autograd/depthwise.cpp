#include "kernels/depthwise/depthwise.h"

#include "autograd/ops.h"

namespace lgms::autograd {

Variable depthwise(const Variable& x, const Variable& weight, const Variable& bias) {
  Tensor y = Tensor::empty(x.shape(), x.value().dtype());
  kernels::depthwise_forward(x.value(), weight.value(), bias.value(), y);
  // dx = dy * turned weight; dweight, dbias: sums over all pixels
  return Variable::from_op("depthwise", y, {x, weight, bias}, {x, weight.value()},
                           [](std::span<Tensor> saved, const Tensor& dy, Grads& grads) {
                             const Tensor& kernel = saved[1];
                             const Shape shape = saved[0].shape();
                             if (grads.wants(1) || grads.wants(2)) {
                               const Tensor dweight = Tensor::empty(kernel.shape(), dy.dtype());
                               const Tensor dbias =
                                   grads.wants(2) ? Tensor::empty({shape.channels()}, dy.dtype()) : Tensor();
                               kernels::depthwise_weight_gradient(saved[0], dy, dweight, dbias);
                               grads.put(1, dweight);
                               grads.put(2, dbias);
                             }
                             saved[0] = {};  // dx takes its place
                             if (!grads.wants(0)) return;
                             const Tensor dx = Tensor::empty(shape, dy.dtype());
                             kernels::depthwise_data_gradient(dy, kernel, dx);
                             grads.put(0, dx);
                           });
}

}  // namespace lgms::autograd
