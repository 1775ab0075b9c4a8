#pragma once
// How far the surface of a predicted label lies from the true one.
#include <array>

#include "core/tensor.h"
#include "nn/metrics.h"

namespace lgms::nn {

// Distances are Euclidean, between voxel centres, in mm; what lies outside the volume is background, so that a label
// that touches the border has its surface there.
//
// hd95_max, hd95_pooled: the surface of a mask is its voxels with one of six neighbours outside it (the mask minus its
// erosion); from every surface voxel of one mask runs the distance to the nearest of the other, in both directions. The
// 95th percentile (numpy's linear one) of each direction, the larger of the two: hd95_max, as MONAI
// compute_hausdorff_distance(percentile=95, directed=False). Of both directions together: hd95_pooled, as medpy hd95.
//
// surface_dice (NSD): surfaces are made of the pieces that marching cubes puts between 2 x 2 x 2 voxels, each weighted
// by its area in mm^2 and placed in the middle of the eight; the share of both surfaces' areas that lies within
// `tolerance` mm (equal counts) of the other surface, as compute_surface_dice_at_tolerance of DeepMind's
// surface-distance. Source: Nikolov et al. 2021, Clinically Applicable Segmentation of Head and Neck Anatomy.
//
// A label in neither volume: NaN, or by policy surface_dice 1 and 0 mm (one), surface_dice 0 (zero; the distances stay
// NaN, since no distance is the worst). A label in one of them: surface_dice 0, distances infinite.
struct SurfaceScores {
  double surface_dice, hd95_max, hd95_pooled;
};

// predicted, truth: u8 [D, H, W, 1]; spacing: mm along (D, H, W). Works in the box round the label in both volumes:
// time in proportion to its voxels, and at most some 20 bytes for each of them; the same bits for any number of
// threads. Throws Error{usage} where shapes, types, spacing or tolerance (mm, >= 0) make no sense.
SurfaceScores surface_scores(const TensorView& predicted, const TensorView& truth, uint8_t label,
                             const std::array<double, 3>& spacing, double tolerance,
                             EmptyPolicy policy = EmptyPolicy::exclude);

// Area in mm^2 of the surface between eight voxels, the voxel at (z, y, x) in {0, 1}^3 inside where bit 7 - 4z - 2y - x
// is set. For tests.
std::array<double, 256> surface_areas(const std::array<double, 3>& spacing);

}  // namespace lgms::nn
