#include "autograd/ops.h"

namespace lgms::autograd {

// y = x[..., first : first + count], sharing the storage of x; dx is dy there and 0 elsewhere.
Variable split(const Variable& x, int64_t first, int64_t count) {
  const Shape shape = x.shape();
  return Variable::from_op("split", x.value().slice(first, count), {x}, {},
                           [shape, first, count](std::span<const Tensor>, const Tensor& dy, Grads& grads) {
                             if (!grads.wants(0)) return;
                             const Tensor dx = Tensor::empty(shape, dy.dtype());
                             const int64_t after = first + count;
                             dx.slice(0, first).fill(0);
                             copy(dy, dx.slice(first, count));
                             dx.slice(after, shape.channels() - after).fill(0);
                             grads.put(0, dx);
                           });
}

}  // namespace lgms::autograd
