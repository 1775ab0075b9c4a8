#include "kernels/optimizer/optimizer.h"

#include <cmath>

#include "kernels/optimizer/reference.h"

namespace lgms::kernels {
namespace {

constexpr OptimizerImpl impls[] = {
#if LGMS_X86
    {"avx512", Device::cpu, Isa::avx512, sgd_step_avx512, adamw_step_avx512},
    {"avx2", Device::cpu, Isa::avx2, sgd_step_avx2, adamw_step_avx2},
#endif
    {"generic", Device::cpu, Isa::generic, sgd_step_generic, adamw_step_generic},
    {"reference", Device::cpu, Isa::reference, sgd_step_reference<float>, adamw_step_reference<float>}};
constexpr int64_t kGrain = 16384;

void expect_parameters(const char* op, const TensorView& weight,
                       std::initializer_list<std::pair<const char*, TensorView>> rest) {
  expect_float(op, "weight", weight);
  expect_dense(op, "weight", weight);
  for (const auto& [name, t] : rest) {
    expect_shape(op, name, t, weight.shape());
    expect_like(op, name, t, weight);
    expect_dense(op, name, t);
  }
}

template <class T, class Run>
void sgd(const Sgd& o, const TensorView& gradient, const TensorView& weight, const TensorView& velocity, Run* run) {
  const SgdFactors<T> f{static_cast<T>(o.rate), static_cast<T>(o.momentum), static_cast<T>(o.weight_decay)};
  parallel_ranges(weight.numel(), kGrain, [&](int64_t first, int64_t last, int) {
    run(last - first, f, gradient.data<T>() + first, weight.data<T>() + first, velocity.data<T>() + first);
  });
}

template <class T, class Run>
void adamw(const AdamW& o, int64_t step, const TensorView& gradient, const TensorView& weight, const TensorView& mean,
           const TensorView& square, Run* run) {
  const double t = static_cast<double>(step);
  const AdamWFactors<T> f{static_cast<T>(1 - o.rate * o.weight_decay),
                          static_cast<T>(1 - o.beta1),
                          static_cast<T>(o.beta2),
                          static_cast<T>(1 - o.beta2),
                          static_cast<T>(o.rate / (1 - std::pow(o.beta1, t))),
                          static_cast<T>(std::sqrt(1 - std::pow(o.beta2, t))),
                          static_cast<T>(o.eps)};
  parallel_ranges(weight.numel(), kGrain, [&](int64_t first, int64_t last, int) {
    run(last - first, f, gradient.data<T>() + first, weight.data<T>() + first, mean.data<T>() + first,
        square.data<T>() + first);
  });
}

}  // namespace

std::span<const OptimizerImpl> optimizer_impls() { return impls; }

void sgd_step(const Sgd& options, const TensorView& gradient, const TensorView& weight, const TensorView& velocity) {
  expect_parameters("sgd_step", weight, {{"gradient", gradient}, {"velocity", velocity}});
  const HostRows host(weight.device());
  if (weight.dtype() == DType::f64)
    sgd<double>(options, gradient, weight, velocity, sgd_step_reference<double>);
  else
    sgd<float>(options, gradient, weight, velocity, pick(optimizer_impls(), Context::current(), weight.device()).sgd);
}

void adamw_step(const AdamW& options, int64_t step, const TensorView& gradient, const TensorView& weight,
                const TensorView& mean, const TensorView& square) {
  expect_parameters("adamw_step", weight, {{"gradient", gradient}, {"mean", mean}, {"square", square}});
  check(step >= 1, ErrorKind::usage, "[adamw_step] step: expected at least 1, got ", step);
  const HostRows host(weight.device());
  if (weight.dtype() == DType::f64)
    adamw<double>(options, step, gradient, weight, mean, square, adamw_step_reference<double>);
  else
    adamw<float>(options, step, gradient, weight, mean, square,
                 pick(optimizer_impls(), Context::current(), weight.device()).adamw);
}

}  // namespace lgms::kernels
