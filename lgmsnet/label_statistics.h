#pragma once
// What a label volume holds, in voxels and in space; what the masks of a picture hold, in pixels.
#include <array>
#include <vector>

#include "core/geometry.h"

namespace lgms {

struct LabelStatistics {
  int64_t label = 0, voxels = 0;
  double millilitres = 0;
  // Of a label that has voxels. Voxels are counted from 0 along (i, j, k) = (W, H, D), as NIfTI names them.
  Size3 first{}, last{};                // the corners of the smallest box around it, both inside
  std::array<double, 3> centroid{};     // mean of the voxels' indices
  std::array<double, 3> centroid_mm{};  // where the affine puts it: right, anterior, superior
  bool touches_border = false;          // has a voxel in the first or last slice, row or column: may go on outside
};

// Of the labels 1 .. classes - 1. labels: u8 [D, H, W, 1], dense. Throws Error{usage} on another shape or type.
std::vector<LabelStatistics> label_statistics(const TensorView& labels, const Affine& affine, int64_t classes);

// Of every mask of a picture, u8 [H, W, K], what is not 0: label is the channel, voxels are pixels, (i, j, k) =
// (column, row, 0); what is in ml or mm is 0. Throws Error{usage} on another shape or type.
std::vector<LabelStatistics> mask_statistics(const TensorView& masks);

}  // namespace lgms
