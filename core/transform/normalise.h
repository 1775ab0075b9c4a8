#pragma once
#include <span>

#include "core/tensor.h"

namespace lgms::transform {

// y[..., c] = (x[..., c] / 255 - mean[c]) / std[c], in that order of operations; x: f32 or u8 [H, W, C] with values in
// 0..255; mean, std: [C], std > 0. Returns f32.
Tensor normalise(const TensorView& x, std::span<const float> mean, std::span<const float> std);

// y = x / 255: the second division that checkpoints of the published 2D code expect. x: f32 [H, W, C].
Tensor divide_by_255(const TensorView& x);

}  // namespace lgms::transform
