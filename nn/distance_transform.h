#pragma once
#include <array>

#include "core/tensor.h"

namespace lgms::nn {

// The exact Euclidean distance, in mm, from the centre of every voxel v to that of the nearest seed s:
// y[v] = min over s of |(v - s) * spacing|; infinite everywhere where there is no seed.
// seeds: u8 [D, H, W, 1], not 0; spacing: mm along (D, H, W), > 0. Returns f64 [D, H, W, 1]. Takes time in proportion
// to D H W whatever the seeds and spacings, and 8 bytes per voxel; the same bits for any number of threads. Squares are
// added as (z^2 + y^2) + x^2, the root is taken last, so that a distance equals the same sum written out.
// Throws Error{usage} on another shape, type or spacing.
// Source: Felzenszwalb & Huttenlocher 2012, Distance Transforms of Sampled Functions, algorithm 1.
Tensor distance_transform(const TensorView& seeds, const std::array<double, 3>& spacing);

}  // namespace lgms::nn
