#include "kernels/multiscale_depthwise/multiscale_depthwise.h"

#include "autograd/ops.h"

namespace lgms::autograd {

// Inputs and saved tensors: x, then the weights; the biases are inputs 5 to 8.
Variable multiscale_depthwise(const Variable& x, const std::array<Variable, 4>& weights,
                              const std::array<Variable, 4>& biases, bool residual) {
  const Tensor y = Tensor::empty(x.shape(), x.value().dtype());
  const auto& w = weights;
  const auto& b = biases;
  kernels::multiscale_depthwise_forward(x.value(), {w[0].value(), w[1].value(), w[2].value(), w[3].value()},
                                        {b[0].value(), b[1].value(), b[2].value(), b[3].value()}, residual, y);
  // dx = dy * turned weights (+ dy); dweights, dbiases: sums over all pixels
  return Variable::from_op(
      "multiscale_depthwise", y, {x, w[0], w[1], w[2], w[3], b[0], b[1], b[2], b[3]},
      {x, w[0].value(), w[1].value(), w[2].value(), w[3].value()},
      [residual](std::span<Tensor> saved, const Tensor& dy, Grads& grads) {
        bool wanted = false;
        for (size_t i = 1; i < 9; ++i) wanted = wanted || grads.wants(i);
        if (wanted) {
          std::array<Tensor, 8> d;
          for (size_t q = 0; q < 4; ++q) {
            d[q] = Tensor::empty(saved[q + 1].shape(), dy.dtype());
            if (grads.wants(q + 5)) d[q + 4] = Tensor::empty({dy.shape().channels() / 4}, dy.dtype());
          }
          kernels::multiscale_depthwise_weight_gradient(saved[0], dy, {d[0], d[1], d[2], d[3]},
                                                        {d[4], d[5], d[6], d[7]});
          for (size_t i = 0; i < 8; ++i) grads.put(i + 1, d[i]);
        }
        saved[0] = {};  // dx takes its place
        if (!grads.wants(0)) return;
        const Tensor dx = Tensor::empty(dy.shape(), dy.dtype());
        kernels::multiscale_depthwise_data_gradient(dy, {saved[1], saved[2], saved[3], saved[4]}, residual, dx);
        grads.put(0, dx);
      });
}

}  // namespace lgms::autograd
