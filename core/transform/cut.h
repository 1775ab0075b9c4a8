#pragma once
#include "core/geometry.h"

namespace lgms::transform {

// What a box holds where it reaches outside of its volume.
enum class Outside { edge, zero };  // the nearest voxel; 0

// The box of `size` voxels that starts at `origin` (which may be negative): crops, pads, and takes patches.
// x: [D, H, W, C] of any type; returns a dense [size, C]. Throws Error{usage} where x is empty or not a volume.
Tensor cut(const TensorView& x, const Size3& origin, const Size3& size, Outside outside = Outside::edge);

}  // namespace lgms::transform
