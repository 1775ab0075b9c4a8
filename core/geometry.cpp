#include "core/geometry.h"

#include <cmath>

namespace lgms {

std::array<double, 3> spacing_of(const Affine& affine) {
  const auto length = [&](size_t column) {
    return std::hypot(affine[0][column], affine[1][column], affine[2][column]);
  };
  return {length(2), length(1), length(0)};
}

bool is_singular(const Affine& affine) {
  for (const auto& row : affine)
    for (const double v : row)
      if (!std::isfinite(v)) return true;
  const auto& [x, y, z] = affine;
  const double determinant =
      x[0] * (y[1] * z[2] - y[2] * z[1]) - x[1] * (y[0] * z[2] - y[2] * z[0]) + x[2] * (y[0] * z[1] - y[1] * z[0]);
  const auto lengths = spacing_of(affine);
  constexpr double least = 1e-6;  // of the volume that the three lengths would span at right angles
  return !(std::abs(determinant) > least * lengths[0] * lengths[1] * lengths[2]);
}

}  // namespace lgms
