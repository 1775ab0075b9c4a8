#pragma once
#include <filesystem>

#include "core/tensor.h"

namespace lgms::io {

// Writes x (f32, any shape; probabilities are [K, H, W]) as NumPy's .npy, version 1.0, little-endian, C order.
// Source: numpy.lib.format. Throws Error{output} as OutputFile does.
void write_npy(const std::filesystem::path& path, const Tensor& x);

}  // namespace lgms::io
