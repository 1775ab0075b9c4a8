#include "kernels/upsample/upsample.h"

#include "autograd/ops.h"

namespace lgms::autograd {

Variable upsample(const Variable& x, int rank) {
  const Shape shape = x.shape();
  check(shape.rank() == 5, ErrorKind::usage, "[upsample] x: expected [N, D, H, W, C], got ", shape);
  const Tensor y = Tensor::empty({shape[0], rank == 3 ? 2 * shape[1] : shape[1], 2 * shape[2], 2 * shape[3], shape[4]},
                                 x.value().dtype());
  kernels::upsample_forward(x.value(), rank, y);
  return Variable::from_op("upsample", y, {x}, {},
                           [shape, rank](std::span<const Tensor>, const Tensor& dy, Grads& grads) {
                             if (!grads.wants(0)) return;
                             const Tensor dx = Tensor::empty(shape, dy.dtype());
                             kernels::upsample_backward(dy, rank, dx);
                             grads.put(0, dx);
                           });
}

}  // namespace lgms::autograd
