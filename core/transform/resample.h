#pragma once
// Volumes on another grid. Grids cover the same box, voxels are its cells: output voxel i lies at source position
// (i + 0.5) in/out - 0.5, clamped at the edges.
#include "core/geometry.h"

namespace lgms::transform {

// round(size * spacing / target), at least 1.
Size3 resampled_size(const Size3& size, const std::array<double, 3>& spacing, const std::array<double, 3>& target);

// Trilinear. x: f32 [D, H, W, C]; returns [size, C]. The same size returns the same values.
Tensor resample_linear(const TensorView& x, const Size3& size);
// The slices [first, last) along D of resample_linear(x, size), where x holds only the slices [x_first, x_first + its
// D) of a source of source_depth slices; those needed must be among them (see source_slices).
Tensor resample_linear_slab(const TensorView& x, int64_t x_first, int64_t source_depth, const Size3& size,
                            int64_t first, int64_t last);
// The source slices [first, last) that the output slices [first, last) read.
std::array<int64_t, 2> source_slices(int64_t source_depth, int64_t out_depth, int64_t first, int64_t last);

// Nearest, source index floor((i + 0.5) in/out) in integers. x: any type.
Tensor resample_nearest(const TensorView& x, const Size3& size);

}  // namespace lgms::transform
