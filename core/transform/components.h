#pragma once
// Connected components of label volumes: voxels of one label that touch, label 0 aside.
#include "core/tensor.h"

namespace lgms::transform {

// Which voxels touch: those that share a face (6 neighbours), or a face, an edge or a corner (26).
enum class Neighbours { faces = 6, corners = 26 };

// labels: u8 [D, H, W, 1], dense, below 2^31 voxels, changed in place; what is removed becomes 0. Both return the
// number of voxels removed. Scratch: 4 bytes per voxel. Throw Error{usage} on other shapes or types. Every label keeps
// its largest component, of equal ones the first in memory.
int64_t keep_largest(const Tensor& labels, Neighbours neighbours = Neighbours::corners);
// Components of fewer than `voxels` voxels are removed.
int64_t remove_small(const Tensor& labels, int64_t voxels, Neighbours neighbours = Neighbours::corners);

}  // namespace lgms::transform
