#include "nn/optimizer.h"

#include <cmath>
#include <map>

#include "core/error.h"

namespace lgms::nn {
namespace {

constexpr const char *kSteps = "optimizer.steps", *kMomentum = "optimizer.momentum.", *kMean = "optimizer.mean.",
                     *kVariance = "optimizer.variance.";

void expect_possible(const std::string& name, const Tensor& tensor, const std::string& source) {
  const bool signless = name == kSteps || name.starts_with(kVariance);
  const Tensor wide = tensor.to(DType::f64);
  for (const double v : wide.span<double>())
    check(std::isfinite(v) && (v >= 0 || !signless), ErrorKind::model, "[", source, "] ", name, ": expected finite ",
          signless ? "numbers from 0" : "numbers", ", got ", v, "; the file is damaged");
}

}  // namespace

Optimizer::Optimizer(const ParameterStore& store, Options options) : options_(options) {
  for (const ParameterStore::Entry& entry : store.entries()) {
    if (!entry.trained()) continue;
    const auto zeros = [&] { return Tensor::zeros(entry.value().shape(), entry.value().dtype()); };
    slots_.push_back({entry.name, entry.parameter, zeros(), {}});
    if (std::holds_alternative<kernels::AdamW>(options_)) slots_.back().second = zeros();
  }
}

void Optimizer::step(double rate) {
  ++steps_;
  std::visit([&](auto& options) { options.rate = rate; }, options_);
  for (const Slot& slot : slots_) {
    const Tensor &weight = slot.parameter.value(), &gradient = slot.parameter.grad();
    if (!gradient.defined()) continue;
    if (const auto* sgd = std::get_if<kernels::Sgd>(&options_))
      kernels::sgd_step(*sgd, gradient.dense(), weight, slot.first);
    else
      kernels::adamw_step(std::get<kernels::AdamW>(options_), steps_, gradient.dense(), weight, slot.first,
                          slot.second);
    weight.bump_version();
  }
}

NamedTensors Optimizer::state() const {
  NamedTensors all{{kSteps, Tensor::from(Shape{}, std::vector<int64_t>{steps_})}};
  const bool sgd = std::holds_alternative<kernels::Sgd>(options_);
  for (const Slot& slot : slots_) {
    all.push_back({(sgd ? kMomentum : kMean) + slot.name, slot.first});
    if (!sgd) all.push_back({kVariance + slot.name, slot.second});
  }
  return all;
}

void Optimizer::load(const NamedTensors& tensors, const std::string& source) {
  std::map<std::string, Tensor> given;
  for (const auto& [name, tensor] : tensors) given[name] = tensor;
  const auto wanted = state();
  for (const auto& [name, tensor] : wanted) {
    const auto found = given.find(name);
    check(found != given.end(), ErrorKind::model, "[", source, "] ", name, ": the file does not hold this tensor");
    check(found->second.shape() == tensor.shape() && found->second.dtype() == tensor.dtype(), ErrorKind::model, "[",
          source, "] ", name, ": expected ", tensor.dtype(), " ", tensor.shape(), ", got ", found->second.dtype(), " ",
          found->second.shape());
    expect_possible(name, found->second, source);
  }
  check(tensors.size() == wanted.size(), ErrorKind::model, "[", source, "] expected ", wanted.size(),
        " tensors of the optimiser, got ", tensors.size(), "; was it written by another one?");
  for (const auto& [name, tensor] : wanted) tensor.copy_from(given[name]);
  steps_ = *given[kSteps].data<int64_t>();
}

}  // namespace lgms::nn
