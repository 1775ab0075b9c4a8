#pragma once
#include <span>

#include "core/tensor.h"

namespace lgms::io {

// The elements of a dense tensor as bytes. Throws Error{internal} where it is not dense or not on the host.
std::span<uint8_t> bytes_of(const TensorView& dense);

}  // namespace lgms::io
