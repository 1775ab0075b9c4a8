#pragma once
#include "core/tensor.h"

namespace lgms::transform {

// x [H, W, C] of any type, its last row and column repeated at the bottom and right until both sides are multiples of
// `multiple`.
Tensor pad_edge(const TensorView& x, int64_t multiple);

// The upper left h x w pixels of x [H, W, C]: undoes pad_edge. Throws Error{usage} where x is smaller.
Tensor crop(const TensorView& x, int64_t h, int64_t w);

}  // namespace lgms::transform
