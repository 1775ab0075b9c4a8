#include <algorithm>
#include <cmath>

#include "kernels/channel_norm/walk.h"

namespace lgms::kernels {
namespace {

// f(element of t, its index), in t's own type.
template <class F>
void over_elements(const TensorView& t, const F& f) {
  for (int64_t i = 0; i < t.numel(); ++i)
    if (t.dtype() == DType::f64)
      f(t.data<double>()[i], i);
    else
      f(t.data<float>()[i], i);
}

Tensor table_of(const char* argument, const Tensor& t, int most_rank, auto&& value_of) {
  const int rank = t.shape().rank();
  expect_float("channel_norm", argument, t);
  expect_dense("channel_norm", argument, t);
  check(rank == 1 || rank == most_rank, ErrorKind::usage, "[channel_norm] ", argument, ": expected ",
        most_rank == 2 ? "[M, C] or " : "", "[C], got ", t.shape());
  const Tensor table = Tensor::empty(t.device(), {rank == 2 ? t.shape()[0] : 1, t.channels()}, DType::f64);
  const HostRows host(t.device());
  over_elements(t, [&](auto v, int64_t i) { table.data<double>()[i] = value_of(static_cast<double>(v)); });
  return table;
}

double reciprocal(double variance, double eps) { return 1 / std::sqrt(variance + eps); }

}  // namespace

void reciprocal_deviation(const double* variance, int64_t n, double eps, double* rstd) {
  std::transform(variance, variance + n, rstd, [eps](double v) { return reciprocal(v, eps); });
}

Tensor reciprocal_deviation(const Tensor& variance, double eps) {
  check(eps > 0, ErrorKind::usage, "[channel_norm] eps: expected more than 0, got ", eps);
  return table_of("variance", variance, 2, [eps](double v) { return reciprocal(v, eps); });
}

Tensor mean_table(const Tensor& running_mean) {
  return table_of("mean", running_mean, 1, [](double v) { return v; });
}

void update_running_statistics(const TensorView& running_mean, const TensorView& running_variance,
                               const TensorView& batches, const TensorView& mean, const TensorView& variance,
                               int64_t values, double momentum) {
  constexpr const char* op = "batch_norm";
  struct Statistic {
    const char *running_name, *batch_name;
    const TensorView &running, &batch;
    double factor;
  };
  const double unbiased = static_cast<double>(values) / static_cast<double>(values - 1);
  const Statistic both[] = {{"running mean", "mean", running_mean, mean, 1},
                            {"running variance", "variance", running_variance, variance, unbiased}};
  for (const auto& [running_name, batch_name, running, batch, factor] : both) {
    expect_shape(op, batch_name, batch, {1, mean.channels()});
    expect_type(op, batch_name, batch, DType::f64);
    expect_device(op, batch_name, batch, mean);
    if (!running.defined()) continue;
    expect_float(op, running_name, running);
    expect_shape(op, running_name, running, {mean.channels()});
    expect_device(op, running_name, running, mean);
  }
  if (batches.defined()) {
    expect_scalar(op, "batches", batches);
    expect_type(op, "batches", batches, DType::i64);
    expect_device(op, "batches", batches, mean);
  }
  const HostRows host(mean.device());
  for (const auto& s : both)
    if (s.running.defined())
      over_elements(s.running, [&](auto& r, int64_t i) {
        r = static_cast<std::remove_reference_t<decltype(r)>>((1 - momentum) * static_cast<double>(r) +
                                                              momentum * (s.factor * s.batch.data<double>()[i]));
      });
  if (batches.defined()) ++*batches.data<int64_t>();
}

}  // namespace lgms::kernels
