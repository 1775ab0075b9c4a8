#include "kernels/activation/activation.h"

#include "autograd/ops.h"

namespace lgms::autograd {

Variable activation(const Variable& x, Activation kind) {
  if (kind == Activation::none) return x;
  const Tensor y = Tensor::empty(x.shape(), x.value().dtype());
  kernels::activation_forward(x.value(), kind, y);
  return Variable::from_op(
      "activation", y, {x}, {x},
      [kind](std::span<const Tensor> saved, const Tensor& dy, Grads& grads) {
        const Tensor dx = Tensor::empty(dy.shape(), dy.dtype());
        kernels::activation_backward(saved[0], dy, kind, dx);  // dx = dy * activation'(x)
        grads.put(0, dx);
      },
      [kind](std::span<const Tensor> saved) {
        const Tensor again = Tensor::empty(saved[0].shape(), saved[0].dtype());
        kernels::activation_forward(saved[0], kind, again);
        return again;
      },
      {});
}

}  // namespace lgms::autograd
