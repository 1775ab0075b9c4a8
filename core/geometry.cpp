#include "core/geometry.h"

#include <Eigen/LU>
#include <Eigen/SVD>
#include <cmath>

namespace lgms {
namespace {

Eigen::Matrix3d matrix_of(const Affine& affine) {
  Eigen::Matrix3d m;
  for (size_t i = 0; i < 3; ++i)
    for (size_t j = 0; j < 3; ++j) m(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) = affine[i][j];
  return m;
}

}  // namespace

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
  const auto lengths = spacing_of(affine);
  constexpr double least = 1e-6;  // of the volume that the three lengths would span at right angles
  return !(voxel_volume(affine) > least * lengths[0] * lengths[1] * lengths[2]);
}

double voxel_volume(const Affine& affine) { return std::abs(matrix_of(affine).determinant()); }

std::array<std::array<double, 3>, 3> directions_of(const Affine& affine) {
  const auto spacing = spacing_of(affine);
  Eigen::Matrix3d m = matrix_of(affine);
  for (Eigen::Index j = 0; j < 3; ++j) m.col(j) /= spacing[static_cast<size_t>(2 - j)];
  const Eigen::JacobiSVD<Eigen::Matrix3d> svd(m, Eigen::ComputeFullU | Eigen::ComputeFullV);
  const Eigen::Matrix3d closest = svd.matrixU() * svd.matrixV().transpose();
  std::array<std::array<double, 3>, 3> result;
  for (size_t i = 0; i < 3; ++i)
    for (size_t j = 0; j < 3; ++j) result[i][j] = closest(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j));
  return result;
}

}  // namespace lgms
