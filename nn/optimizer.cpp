#include "nn/optimizer.h"

#include <map>

#include "core/error.h"

namespace lgms::nn {

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
  NamedTensors all{{"optimizer.steps", Tensor::from(Shape{}, std::vector<int64_t>{steps_})}};
  const bool sgd = std::holds_alternative<kernels::Sgd>(options_);
  for (const Slot& slot : slots_) {
    all.push_back({(sgd ? "optimizer.momentum." : "optimizer.mean.") + slot.name, slot.first});
    if (!sgd) all.push_back({"optimizer.variance." + slot.name, slot.second});
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
  }
  check(given.size() == wanted.size(), ErrorKind::model, "[", source, "] expected ", wanted.size(),
        " tensors of the optimiser, got ", given.size(), "; was it written by another one?");
  for (const auto& [name, tensor] : wanted) tensor.copy_from(given[name]);
  steps_ = *given["optimizer.steps"].data<int64_t>();
}

}  // namespace lgms::nn
