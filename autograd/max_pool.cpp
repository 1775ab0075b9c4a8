#include "kernels/max_pool/max_pool.h"

#include "autograd/ops.h"

namespace lgms::autograd {

Variable max_pool(const Variable& x, int rank) {
  const Shape shape = x.shape();
  check(shape.rank() == 5, ErrorKind::usage, "[max_pool] x: expected [N, D, H, W, C], got ", shape);
  const Tensor y = Tensor::empty({shape[0], rank == 3 ? shape[1] / 2 : shape[1], shape[2] / 2, shape[3] / 2, shape[4]},
                                 x.value().dtype());
  Tensor index;  // a byte per element of y in place of x and y
  if (gradients_enabled() && x.requires_grad()) index = Tensor::empty(y.shape(), DType::u8);
  kernels::max_pool_forward(x.value(), rank, y, index);
  return Variable::from_op("max_pool", y, {x}, {index},
                           [shape, rank](std::span<const Tensor> saved, const Tensor& dy, Grads& grads) {
                             const Tensor dx = Tensor::empty(shape, dy.dtype());
                             kernels::max_pool_backward(dy, saved[0], rank, dx);
                             grads.put(0, dx);
                           });
}

}  // namespace lgms::autograd
