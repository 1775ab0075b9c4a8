#pragma once
// What batch, instance and group norm share.
#include "autograd/ops.h"
#include "kernels/channel_norm/channel_norm.h"

namespace lgms::autograd {

// y = after(gamma * (before(x) - mean) * rstd + beta) + residual and its gradient, given mean and variance (as
// kernels/channel_norm has them). constant_statistics: they do not depend on x. op: for messages and
// reports. y takes the place of x where nothing is recorded and nobody else holds x.
Variable channel_norm(const char* op, Variable x, const Variable& gamma, const Variable& beta, const Epilogue& epilogue,
                      const kernels::NormSets& sets, const Tensor& mean, const Tensor& variance,
                      bool constant_statistics);

}  // namespace lgms::autograd
