#include "kernels/attention/attention.h"

#include "autograd/ops.h"

namespace lgms::autograd {

Variable attention(const Variable& qkv, int64_t heads, int rank) {
  check(heads > 0 && qkv.shape().rank() == 5, ErrorKind::usage,
        "[attention] qkv: expected [N, D, H, W, 3 * heads * 8], got ", qkv.shape(), " and ", heads, " heads");
  const Shape& shape = qkv.shape();
  const Tensor y = Tensor::empty(shape.with_channels(heads * kernels::kHeadDim), qkv.value().dtype());
  const Tensor statistics = Tensor::empty(shape.with_channels(2 * heads), qkv.value().dtype());
  kernels::attention_forward(qkv.value(), heads, rank, y, statistics);
  return Variable::from_op("attention", y, {qkv}, {qkv.value(), y, statistics},
                           [heads, rank](std::span<const Tensor> saved, const Tensor& dy, Grads& grads) {
                             const Tensor dqkv = Tensor::empty(saved[0].shape(), dy.dtype());
                             kernels::attention_backward(saved[0], saved[1], saved[2], dy, heads, rank, dqkv);
                             grads.put(0, dqkv);
                           });
}

}  // namespace lgms::autograd
