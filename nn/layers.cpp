#include "nn/layers.h"

namespace lgms::nn {

using autograd::Variable;

Variable Layers::bias(const std::string& name) const {
  return store_->contains(name + ".bias") ? store_->parameter(name + ".bias") : Variable();
}

Variable Layers::convolution(const std::string& name, const Variable& x, int64_t groups) const {
  return autograd::convolution(x, weight(name), bias(name), groups);
}

Variable Layers::linear(const std::string& name, const Variable& x) const {
  return autograd::linear(x, weight(name), bias(name));
}

Variable Layers::depthwise(const std::string& name, const Variable& x) const {
  return autograd::depthwise(x, weight(name), bias(name));
}

Variable Layers::batch_norm(const std::string& name, Variable x, const autograd::Epilogue& epilogue) const {
  const autograd::RunningStatistics statistics{store_->buffer(name + ".running_mean"),
                                               store_->buffer(name + ".running_var"),
                                               store_->buffer(name + ".num_batches_tracked")};
  return autograd::batch_norm(std::move(x), weight(name), bias(name), statistics, training_, epilogue);
}

Variable Layers::group_norm(const std::string& name, Variable x, int64_t groups,
                            const autograd::Epilogue& epilogue) const {
  return autograd::group_norm(std::move(x), weight(name), bias(name), groups, epilogue);
}

Variable Layers::layer_norm(const std::string& name, const Variable& x) const {
  return autograd::layer_norm(x, weight(name), bias(name));
}

}  // namespace lgms::nn
