#include "autograd/norm.h"

#include <cmath>

namespace lgms::autograd {

constexpr double kEpsilon = 1e-5;

Variable channel_norm(const char* op, Variable x, const Variable& gamma, const Variable& beta, const Epilogue& epilogue,
                      const kernels::NormSets& sets, const Tensor& mean, const Tensor& variance,
                      bool constant_statistics) {
  const Tensor rstd = kernels::reciprocal_deviation(variance, kEpsilon);
  const auto like = [](const Tensor& t, bool wanted) {
    return wanted ? Tensor::empty(t.shape(), t.dtype()) : Tensor();
  };
  const Tensor y = !recording() && x.value().unique() ? x.value() : like(x.value(), true);
  const Activation before = epilogue.before, after = epilogue.after;
  kernels::channel_norm_forward(x.value(), mean, rstd, gamma.value(), beta.value(),
                                {.before = before, .after = after, .residual = epilogue.residual.value()}, y);
  return Variable::from_op(
      op, y, {x, gamma, beta, epilogue.residual}, {x, mean, rstd, gamma.value(), beta.value()},
      [sets, before, after, constant_statistics, like](std::span<const Tensor> saved, const Tensor& dy, Grads& grads) {
        const bool in_place = dy.unique() && dy.is_dense() && !grads.wants(3);
        const Tensor dx = in_place && grads.wants(0) ? dy : like(saved[0], grads.wants(0)),
                     dgamma = like(saved[3], grads.wants(1)), dbeta = like(saved[4], grads.wants(2));
        kernels::channel_norm_backward(saved[0], dy, sets, saved[1], saved[2], saved[3], saved[4], before, after,
                                       constant_statistics, dx, dgamma, dbeta);
        grads.put(0, dx);
        grads.put(1, dgamma);
        grads.put(2, dbeta);
        grads.put(3, dy);
      },
      [before, after, like](std::span<const Tensor> saved) {
        const Tensor again = like(saved[0], true);
        kernels::channel_norm_forward(saved[0], saved[1], saved[2], saved[3], saved[4],
                                      {.before = before, .after = after, .residual = saved[5]}, again);
        return again;
      },
      {epilogue.residual});
}

}  // namespace lgms::autograd
