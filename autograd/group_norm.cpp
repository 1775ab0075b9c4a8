#include "autograd/norm.h"

namespace lgms::autograd {

Variable group_norm(Variable x, const Variable& gamma, const Variable& beta, int64_t groups, const Epilogue& epilogue) {
  kernels::expect_activations("group_norm", "x", x.value());
  const int64_t c = x.value().channels();
  check(groups > 0 && c % groups == 0, ErrorKind::usage, "[group_norm] groups: expected a divisor of ", c, ", got ",
        groups);
  const kernels::NormSets sets{c / groups};
  const Shape table{x.shape()[0], c};
  const Tensor mean = Tensor::empty(table, DType::f64), variance = Tensor::empty(table, DType::f64);
  kernels::channel_norm_statistics(x.value(), epilogue.before, sets, mean, variance);
  return channel_norm("group_norm", std::move(x), gamma, beta, epilogue, sets, mean, variance, false);
}

}  // namespace lgms::autograd
