#include "autograd/norm.h"

namespace lgms::autograd {

Variable instance_norm(Variable x, const Epilogue& epilogue) {
  kernels::expect_activations("instance_norm", "x", x.value());
  check(x.shape()[0] == 0 || x.value().rows() > x.shape()[0], ErrorKind::usage,
        "[instance_norm] x: expected more than one pixel per image, got ", x.shape());
  const Shape table{x.shape()[0], x.value().channels()};
  const Tensor mean = Tensor::empty(table, DType::f64), variance = Tensor::empty(table, DType::f64);
  kernels::channel_norm_statistics(x.value(), epilogue.before, {}, mean, variance);
  return channel_norm("instance_norm", std::move(x), {}, {}, epilogue, {}, mean, variance, false);
}

}  // namespace lgms::autograd
