#pragma once
// Axes of volumes: which one runs which way, and turning them round without changing a voxel.
#include "core/geometry.h"

namespace lgms::transform {

// How the axes of y are made from those of x, all as (D, H, W): y axis a is x axis `from[a]`, backwards where flip[a].
struct Orientation {
  std::array<int, 3> from{0, 1, 2};
  std::array<bool, 3> flip{};

  Orientation inverse() const;
  friend bool operator==(const Orientation&, const Orientation&) = default;
};

// The orientation that makes (D, H, W) = (x, y, z), each growing to the right, anterior, superior, of a file with this
// affine: every axis goes to the direction that it is closest to, the most certain first. nibabel 5.0's io_orientation
// takes them in the file's order: the same, unless two axes are closest to one direction. Throws Error{usage} where the
// affine is singular.
Orientation to_ras(const Affine& affine);

// x [D, H, W, C] of any type; a dense copy with the axes turned.
Tensor reorient(const TensorView& x, const Orientation& orientation);
Size3 reoriented(const Size3& size, const Orientation& orientation);
std::array<double, 3> reoriented(const std::array<double, 3>& spacing, const Orientation& orientation);

}  // namespace lgms::transform
