#include "kernels/loss/dice_ce_loss.h"

#include "autograd/ops.h"

namespace lgms::autograd {

Variable dice_ce_loss(const Variable& logits, const Tensor& labels) {
  const Tensor& x = logits.value();
  kernels::expect_activations("dice_ce_loss", "logits", x);
  const Tensor loss = Tensor::empty({}, x.dtype()), sums = Tensor::empty({x.shape()[0], 2, x.channels()}, DType::f64);
  kernels::dice_ce_loss_forward(x, labels, loss, sums);
  return Variable::from_op("dice_ce_loss", loss, {logits}, {x, labels, sums},
                           [](std::span<const Tensor> saved, const Tensor& dloss, Grads& grads) {
                             const Tensor dlogits = Tensor::empty(saved[0].shape(), saved[0].dtype());
                             kernels::dice_ce_loss_backward(saved[0], saved[1], saved[2], dloss, dlogits);
                             grads.put(0, dlogits);
                           });
}

}  // namespace lgms::autograd
