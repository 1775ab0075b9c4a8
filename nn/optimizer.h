#pragma once
// Optimisers over the trained parameters of a store.
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "kernels/optimizer/optimizer.h"
#include "nn/parameters.h"

namespace lgms::nn {

class Optimizer {
 public:
  using Options = std::variant<kernels::Sgd, kernels::AdamW>;  // formulas stand there; `rate` is ignored
  // Shares the store's parameters. State starts at zero.
  Optimizer(const ParameterStore& store, Options options);

  // Moves every parameter that has a gradient, in place, and bumps its version.
  void step(double rate);
  int64_t steps() const { return steps_; }

  // What a checkpoint keeps: "optimizer.steps" and "optimizer.momentum.NAME" (SGD), or "optimizer.mean.NAME" and
  // "optimizer.variance.NAME" (AdamW) for every parameter; sharing storage.
  NamedTensors state() const;
  // Copies such a state in. Throws Error{model} naming source and the tensor that is missing, left over, of another
  // shape or type, or of numbers that no state has.
  void load(const NamedTensors& tensors, const std::string& source);

 private:
  struct Slot {
    std::string name;
    autograd::Variable parameter;
    Tensor first, second;  // momentum; or mean and variance of the gradient
  };
  std::vector<Slot> slots_;
  Options options_;
  int64_t steps_ = 0;
};

}  // namespace lgms::nn
