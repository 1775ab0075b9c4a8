#pragma once
// Layers: an op with the parameters that a store holds under a name, as torch.nn names them.
#include <string>

#include "autograd/ops.h"
#include "nn/parameters.h"

namespace lgms::nn {

// Every call reads NAME.weight, NAME.bias, NAME.running_mean, ... of the store and records the op. Activations are
// [N, D, H, W, C]; the arguments that torch.nn modules take (widths, kernel sizes) are in the shapes of the parameters.
class Layers {
 public:
  using Value = autograd::Variable;

  // training: batch statistics in batch norms, and running statistics are updated; else running statistics are used.
  Layers(const ParameterStore& store, bool training) : store_(&store), training_(training) {}

  Value convolution(const std::string& name, const Value& x, int64_t groups = 1) const;
  Value linear(const std::string& name, const Value& x) const;
  Value depthwise(const std::string& name, const Value& x) const;
  Value batch_norm(const std::string& name, Value x, const autograd::Epilogue& epilogue = {}) const;
  Value group_norm(const std::string& name, Value x, int64_t groups, const autograd::Epilogue& epilogue = {}) const;
  Value layer_norm(const std::string& name, const Value& x) const;

  bool training() const { return training_; }
  const ParameterStore& store() const { return *store_; }
  const Value& weight(const std::string& name) const { return store_->parameter(name + ".weight"); }
  Value bias(const std::string& name) const;  // undefined where the store has none

 private:
  const ParameterStore* store_;
  bool training_;
};

}  // namespace lgms::nn
