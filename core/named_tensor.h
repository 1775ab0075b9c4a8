#pragma once
#include <string>
#include <vector>

#include "core/tensor.h"

namespace lgms {

// A tensor of a model file, a checkpoint or a parameter store. Weights keep PyTorch's order and rank.
struct NamedTensor {
  std::string name;
  Tensor tensor;
};
using NamedTensors = std::vector<NamedTensor>;

}  // namespace lgms
