#include "autograd/norm.h"

namespace lgms::autograd {
namespace {

// [C] of x's type as a table [1, C] in f64.
Tensor table(const char* argument, const Tensor& t, const Tensor& x) {
  kernels::expect_shape("batch_norm", argument, t, {x.channels()});
  return t.to(DType::f64).reshaped({1, x.channels()});
}

// running = (1 - momentum) * running + momentum * batch; the variance unbiased, by values / (values - 1).
void update(const RunningStatistics& running, const Tensor& mean, const Tensor& variance, int64_t values) {
  const auto blend = [&](const char* argument, const Tensor& into, const Tensor& batch, double factor) {
    if (!into.defined()) return;
    const Tensor blended = table(argument, into, batch).clone();
    for (size_t i = 0; i < blended.span<double>().size(); ++i) {
      double& value = blended.span<double>()[i];
      value = (1 - running.momentum) * value + running.momentum * (factor * batch.span<double>()[i]);
    }
    into.copy_from(blended.reshaped(into.shape()).to(into.dtype()));
    into.bump_version();
  };
  blend("running mean", running.mean, mean, 1);
  blend("running variance", running.variance, variance, static_cast<double>(values) / static_cast<double>(values - 1));
  if (running.num_batches.defined()) {
    ++*running.num_batches.data<int64_t>();
    running.num_batches.bump_version();
  }
}

}  // namespace

Variable batch_norm(Variable x, const Variable& gamma, const Variable& beta, const RunningStatistics& statistics,
                    bool training, const NormOptions& options) {
  const kernels::ChannelNorm norm{options.before, options.after, 1, true};
  if (!training) {
    const Tensor mean = table("running mean", statistics.mean, x.value());
    const Tensor variance = table("running variance", statistics.variance, x.value());
    return channel_norm("batch_norm", std::move(x), gamma, beta, options, norm, mean, variance, true);
  }
  const int64_t c = x.value().channels(), values = x.value().rows();
  check(values > 1, ErrorKind::usage, "[batch_norm] x: expected more than one value per channel in training, got ",
        x.shape());
  const Tensor mean = Tensor::empty({1, c}, DType::f64), variance = Tensor::empty({1, c}, DType::f64);
  kernels::channel_norm_statistics(x.value(), norm, mean, variance);
  if (!recomputing()) update(statistics, mean, variance, values);
  return channel_norm("batch_norm", std::move(x), gamma, beta, options, norm, mean, variance, false);
}

}  // namespace lgms::autograd
