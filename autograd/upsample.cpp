#include "kernels/upsample/upsample.h"

#include "autograd/ops.h"

namespace lgms::autograd {

Variable upsample(const Variable& x, int rank) {
  const Shape shape = x.shape();
  check(shape.rank() == 5, ErrorKind::usage, "[upsample] x: expected [N, D, H, W, C], got ", shape);
  const Remake forward = [shape, rank](std::span<const Tensor> saved) {
    const Tensor y = Tensor::empty(
        {shape[0], rank == 3 ? 2 * shape[1] : shape[1], 2 * shape[2], 2 * shape[3], shape[4]}, saved[0].dtype());
    kernels::upsample_forward(saved[0], rank, y);
    return y;
  };
  return Variable::from_op("upsample", forward(std::array{x.value()}), {x}, {},
                           [shape, rank](std::span<const Tensor>, const Tensor& dy, Grads& grads) {
                             if (!grads.wants(0)) return;
                             const Tensor dx = Tensor::empty(shape, dy.dtype());
                             kernels::upsample_backward(dy, rank, dx);
                             grads.put(0, dx);
                           },
                           forward, {x});
}

}  // namespace lgms::autograd
