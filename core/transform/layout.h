#pragma once
// Channel-first tensors, as files and callers bring them, and ours.
#include "core/tensor.h"

namespace lgms::transform {

// [N, C, H, W] -> [N, 1, H, W, C]; [N, C, D, H, W] -> [N, D, H, W, C]. A dense copy of the same type.
// Throws Error{usage} on another rank.
Tensor to_channels_last(const Tensor& x);
// The inverse; rank 2 gives [N, C, H, W] (D must be 1), rank 3 [N, C, D, H, W].
Tensor to_channels_first(const Tensor& x, int rank);

}  // namespace lgms::transform
