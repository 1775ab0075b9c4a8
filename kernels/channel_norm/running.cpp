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

Tensor table_of(const char* argument, const Tensor& t, auto&& value_of) {
  check(t.is_dense() && (t.dtype() == DType::f32 || t.dtype() == DType::f64), ErrorKind::usage, "[channel_norm] ",
        argument, ": expected dense f32 or f64, got ", t.dtype(), " ", t.shape());
  const Tensor table = Tensor::empty(t.device(), {t.shape().rank() > 1 ? t.shape()[0] : 1, t.channels()}, DType::f64);
  const HostRows host(t.device());
  over_elements(t, [&](auto v, int64_t i) { table.data<double>()[i] = value_of(static_cast<double>(v)); });
  return table;
}

}  // namespace

Tensor reciprocal_deviation(const Tensor& variance, double eps) {
  return table_of("variance", variance, [eps](double v) { return 1 / std::sqrt(v + eps); });
}

Tensor mean_table(const Tensor& running_mean) {
  return table_of("mean", running_mean, [](double v) { return v; });
}

void update_running_statistics(const TensorView& running_mean, const TensorView& running_variance,
                               const TensorView& batches, const TensorView& mean, const TensorView& variance,
                               int64_t values, double momentum) {
  const auto blend = [&](const char* argument, const TensorView& running, const TensorView& batch, double factor) {
    if (!running.defined()) return;
    expect_shape("batch_norm", argument, running, {batch.channels()});
    expect_device("batch_norm", argument, running, batch);
    over_elements(running, [&](auto& r, int64_t i) {
      r = static_cast<std::remove_reference_t<decltype(r)>>((1 - momentum) * static_cast<double>(r) +
                                                            momentum * (factor * batch.data<double>()[i]));
    });
  };
  const HostRows host(mean.device());
  blend("running mean", running_mean, mean, 1);
  blend("running variance", running_variance, variance, static_cast<double>(values) / static_cast<double>(values - 1));
  if (batches.defined()) ++*batches.data<int64_t>();
}

}  // namespace lgms::kernels
