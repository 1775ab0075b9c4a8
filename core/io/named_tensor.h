#pragma once
#include <string>

#include "core/tensor.h"

namespace lgms::io {

// A tensor of a model file. Shapes are those of the file, which for weights is PyTorch's order and rank.
struct NamedTensor {
  std::string name;
  Tensor tensor;
};

}  // namespace lgms::io
