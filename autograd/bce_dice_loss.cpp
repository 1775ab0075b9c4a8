#include "kernels/loss/bce_dice_loss.h"

#include "autograd/ops.h"

namespace lgms::autograd {

Variable bce_dice_loss(const Variable& logits, const Tensor& target) {
  kernels::expect_activations("bce_dice_loss", "logits", logits.value());
  const Tensor loss = Tensor::empty({}, logits.value().dtype()),
               sums = Tensor::empty({logits.shape()[0], 2}, DType::f64);
  kernels::bce_dice_loss_forward(logits.value(), target, loss, sums);
  return Variable::from_op("bce_dice_loss", loss, {logits}, {logits.value(), target, sums},
                           [](std::span<const Tensor> saved, const Tensor& dloss, Grads& grads) {
                             const Tensor dlogits = Tensor::empty(saved[0].shape(), saved[0].dtype());
                             kernels::bce_dice_loss_backward(saved[0], saved[1], saved[2], dloss, dlogits);
                             grads.put(0, dlogits);
                           });
}

}  // namespace lgms::autograd
