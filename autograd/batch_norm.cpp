#include "autograd/norm.h"

namespace lgms::autograd {
Variable batch_norm(Variable x, const Variable& gamma, const Variable& beta, const RunningStatistics& statistics,
                    bool training, const Epilogue& epilogue) {
  const kernels::NormSets sets{1, true};
  if (!training) {
    kernels::expect_shape("batch_norm", "running mean", statistics.mean, {x.value().channels()});
    kernels::expect_shape("batch_norm", "running variance", statistics.variance, {x.value().channels()});
    return channel_norm("batch_norm", std::move(x), gamma, beta, epilogue, sets, kernels::mean_table(statistics.mean),
                        statistics.variance, true);
  }
  const int64_t c = x.value().channels(), values = x.value().rows();
  check(values > 1, ErrorKind::usage, "[batch_norm] x: expected more than one value per channel in training, got ",
        x.shape());
  const Tensor mean = Tensor::empty({1, c}, DType::f64), variance = Tensor::empty({1, c}, DType::f64);
  kernels::channel_norm_statistics(x.value(), epilogue.before, sets, mean, variance);
  if (!recomputing()) {
    kernels::update_running_statistics(statistics.mean, statistics.variance, statistics.num_batches, mean, variance,
                                       values, statistics.momentum);
    for (const Tensor& t : {statistics.mean, statistics.variance, statistics.num_batches}) t.bump_version();
  }
  return channel_norm("batch_norm", std::move(x), gamma, beta, epilogue, sets, mean, variance, false);
}

}  // namespace lgms::autograd
