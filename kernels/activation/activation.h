#pragma once
// Element by element: relu(x) = max(x, 0); silu(x) = x * sigmoid(x); gelu(x) = x * Phi(x), Phi the normal distribution
// function by erf (the exact GELU). Source: torch.nn.functional.relu, silu, gelu(approximate="none").
#include "kernels/impl.h"

namespace lgms::kernels {

enum class Activation : uint8_t { none, relu, silu, gelu };

}  // namespace lgms::kernels
