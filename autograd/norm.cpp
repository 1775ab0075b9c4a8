#include "autograd/norm.h"

#include <cmath>

namespace lgms::autograd {

Variable channel_norm(const char* op, Variable x, const Variable& gamma, const Variable& beta,
                      const NormOptions& options, kernels::ChannelNorm norm, const Tensor& mean, const Tensor& variance,
                      bool constant_statistics) {
  const Tensor rstd = kernels::reciprocal_deviation(variance, options.eps);
  const auto like = [](const Tensor& t, bool wanted) {
    return wanted ? Tensor::empty(t.shape(), t.dtype()) : Tensor();
  };
  const Tensor y = !recording() && x.value().unique() ? x.value() : like(x.value(), true);
  kernels::channel_norm_forward(x.value(), norm, mean, rstd, gamma.value(), beta.value(), options.residual.value(), y);
  return Variable::from_op(
      op, y, {x, gamma, beta, options.residual}, {x, mean, rstd, gamma.value(), beta.value()},
      [norm, constant_statistics, like](std::span<const Tensor> saved, const Tensor& dy, Grads& grads) {
        const bool in_place = dy.unique() && dy.is_dense() && !grads.wants(3);
        const Tensor dx = in_place && grads.wants(0) ? dy : like(saved[0], grads.wants(0)),
                     dgamma = like(saved[3], grads.wants(1)), dbeta = like(saved[4], grads.wants(2));
        kernels::channel_norm_backward(saved[0], dy, norm, saved[1], saved[2], saved[3], saved[4], constant_statistics,
                                       dx, dgamma, dbeta);
        grads.put(0, dx);
        grads.put(1, dgamma);
        grads.put(2, dbeta);
        grads.put(3, dy);
      },
      [norm, like](std::span<const Tensor> saved) {
        const Tensor again = like(saved[0], true);
        kernels::channel_norm_forward(saved[0], norm, saved[1], saved[2], saved[3], saved[4], saved[5], again);
        return again;
      },
      {options.residual});
}

}  // namespace lgms::autograd
