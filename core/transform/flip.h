#pragma once
// Whole-pixel moves of [H, W, C] images of any type; each returns a new, dense tensor.
#include "core/tensor.h"

namespace lgms::transform {

Tensor flip_vertical(const TensorView& x);    // upside down: y[i, j] = x[H-1-i, j]
Tensor flip_horizontal(const TensorView& x);  // left to right: y[i, j] = x[i, W-1-j]

// k quarter turns counter-clockwise (any integer; negative: clockwise), as numpy.rot90: k = 1 gives
// y[i, j] = x[j, W-1-i], of shape [W, H, C].
Tensor rot90(const TensorView& x, int k);

// Channels in reverse order: RGB to BGR and back.
Tensor reverse_channels(const Tensor& x);

}  // namespace lgms::transform
