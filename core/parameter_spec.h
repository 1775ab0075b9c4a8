#pragma once
// What a network's tensors are called, look like and start as.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/named_tensor.h"

namespace lgms {

// What one named tensor starts as. bound > 0: uniform in [-bound, bound); else every element is `value`.
struct ParameterSpec {
  std::string name;
  Shape shape;
  DType dtype = DType::f32;
  bool trained = true;  // false: a buffer (running statistics, counters)
  double bound = 0, value = 0;
  double least = std::numeric_limits<double>::lowest();  // of its numbers: a variance is not negative
};

// PyTorch's default initialisation of convolution and linear layers: weights and biases uniform in +-1/sqrt(fan_in),
// that is kaiming_uniform(a = sqrt(5)). fan_in: inputs of one output, Cin/groups * taps.
inline double default_bound(int64_t fan_in) { return 1.0 / std::sqrt(static_cast<double>(fan_in)); }

// The tensors in the order of specs, in time linear in both; nothing looks at their numbers. Throws Error{model} naming
// source and the first tensor that is left over, there twice, of another shape, or missing.
std::vector<Tensor> in_order(const std::vector<ParameterSpec>& specs, const NamedTensors& tensors,
                             const std::string& source);
// The same, of their types (dtype where they are floating) and dense; storage is shared with tensors that are so.
// Throws also where their numbers are none that a network can have.
std::vector<Tensor> values_of(const std::vector<ParameterSpec>& specs, const NamedTensors& tensors,
                              const std::string& source, DType dtype = DType::f32);

}  // namespace lgms
