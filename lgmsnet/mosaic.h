#pragma once
// A volume and its labels as one picture.
#include "core/geometry.h"

namespace lgms {

// Axial slices, evenly spaced over those that have labels (all, where none has), from feet to head, in rows of
// `columns`; anterior is up, the patient's right is left, pixels are square, so far as the affine's directions are near
// the body's. Grey from the 1st to the 99th percentile. Every label has its colour's contour; truth, if defined, is
// drawn in green over it. image: f32 [D, H, W, 1]; labels, truth: u8 [D, H, W, 1], all as the file has them. tile:
// pixels of the longer side of a slice. Returns u8 [H, W, 3].
struct MosaicOptions {
  int64_t columns = 4, rows = 3, tile = 240;
  bool differences = false;  // the slices where labels and truth differ in the most voxels, instead of evenly spaced
};
Tensor mosaic(const TensorView& image, const TensorView& labels, const Affine& affine, const TensorView& truth = {},
              const MosaicOptions& options = {});

}  // namespace lgms
