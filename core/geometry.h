#pragma once
// Where the voxels of a volume lie in space.
#include <array>
#include <cstdint>

#include "core/tensor.h"

namespace lgms {

// mm of voxel (i, j, k): [x y z] = rows of M [i j k 1]; +x is right, +y anterior, +z superior (RAS+, as NIfTI). The
// axes of a tensor [D, H, W, C] of a file are (D, H, W) = (k, j, i): i is fastest, as in the file.
using Affine = std::array<std::array<double, 4>, 3>;

inline constexpr Affine kIdentityAffine{{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}};

// Extents (D, H, W).
using Size3 = std::array<int64_t, 3>;

// mm from one voxel to the next along (D, H, W): the lengths of the affine's columns k, j, i.
std::array<double, 3> spacing_of(const Affine& affine);

// mm^3 of a voxel: |determinant|.
double voxel_volume(const Affine& affine);

// The rotation (or reflection) closest to the affine's axes, each of length 1: U V^T of their singular value
// decomposition, as nibabel's io_orientation. Columns are i, j, k.
std::array<std::array<double, 3>, 3> directions_of(const Affine& affine);

// Whether the three axes do not span a space: a column that is zero, infinite or not a number, or (nearly) in the plane
// of the two others.
bool is_singular(const Affine& affine);

}  // namespace lgms
