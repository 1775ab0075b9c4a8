#pragma once
// What a network's tensors are called and look like. All here is inline: whoever embeds inference links no nn.
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/error.h"
#include "core/named_tensor.h"

namespace lgms::nn {

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
inline std::vector<Tensor> in_order(const std::vector<ParameterSpec>& specs, const NamedTensors& tensors,
                                    const std::string& source) {
  std::unordered_map<std::string_view, size_t> index;
  for (size_t i = 0; i < specs.size(); ++i) index.emplace(specs[i].name, i);
  std::vector<Tensor> ordered(specs.size());
  for (const auto& [name, tensor] : tensors) {
    const auto found = index.find(name);
    check(found != index.end(), ErrorKind::model, "[", source, "] ", name,
          ": the network has no such tensor; is this a model of another architecture?");
    check(!ordered[found->second].defined(), ErrorKind::model, "[", source, "] ", name, ": expected this tensor once");
    const Shape& shape = specs[found->second].shape;
    check(tensor.shape() == shape, ErrorKind::model, "[", source, "] ", name, ": expected shape ", shape, ", got ",
          tensor.shape());
    ordered[found->second] = tensor;
  }
  for (size_t i = 0; i < specs.size(); ++i)
    check(ordered[i].defined(), ErrorKind::model, "[", source, "] ", specs[i].name,
          ": the file does not hold this tensor, shape ", specs[i].shape);
  return ordered;
}

}  // namespace lgms::nn
