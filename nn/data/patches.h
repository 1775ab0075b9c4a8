#pragma once
// Random patches of labelled volumes, as the 3D recipes draw them.
#include "core/geometry.h"
#include "core/rng.h"
#include "core/transform/cut.h"
#include "core/transform/orientation.h"
#include "nn/data/loader.h"

namespace lgms::nn {

struct PatchOptions {
  Size3 size{96, 96, 96};
  double foreground = 0.5;  // chance that the patch is centred on a voxel with a label above 0; else on one with 0
  bool jitter = false;      // intensities: scaled by 1 +- 0.1 and shifted by +- 0.1, p 0.1 each
  transform::Outside outside = transform::Outside::edge;  // what pads a volume that is smaller than the patch
};

// The move of axes that augmentation draws: with p 0.2 a rotation by k quarter turns in the first two axes, k in 1..3
// (as numpy.rot90), then flips, each axis with p 0.2.
transform::Orientation draw_move(Rng& rng);

// image f32 [D, H, W, C], labels u8 [D, H, W, 1] of one case. Draws a move, a centre and a jitter; where the move swaps
// axes, the box that is cut out has its sides swapped, so that the patch always has options.size. The box is shifted
// into the volume; a volume smaller than it is padded on both sides. Returns the image [size, C] and the target i64
// [size].
Input random_patch(const Example& example, const PatchOptions& options, Rng& rng);

// round(median / 32) * 32 along each axis, at least 32, at most 96: the recipe's patch for data of these sizes.
Size3 patch_of(const std::vector<Size3>& sizes);

}  // namespace lgms::nn
