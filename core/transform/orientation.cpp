#include "core/transform/orientation.h"

#include <algorithm>
#include <cmath>

#include "core/context.h"
#include "core/transform/voxels.h"

namespace lgms::transform {
Orientation Orientation::inverse() const {
  Orientation result;
  for (size_t a = 0; a < 3; ++a) {
    const auto source = static_cast<size_t>(from[a]);
    result.from[source] = static_cast<int>(a);
    result.flip[source] = flip[a];
  }
  return result;
}

Orientation to_ras(const Affine& affine) {
  check(!is_singular(affine), ErrorKind::usage, "[to_ras] affine: expected three independent axes");
  auto m = directions_of(affine);
  const auto certainty = [&](size_t column) {
    return std::max({std::abs(m[0][column]), std::abs(m[1][column]), std::abs(m[2][column])});
  };
  std::array<size_t, 3> columns{0, 1, 2};
  const std::array<double, 3> certain{certainty(0), certainty(1), certainty(2)};
  std::stable_sort(columns.begin(), columns.end(), [&](size_t a, size_t b) { return certain[a] > certain[b]; });
  Orientation result;
  for (const size_t column : columns) {
    size_t row = 0;
    for (size_t i = 1; i < 3; ++i)
      if (std::abs(m[i][column]) > std::abs(m[row][column])) row = i;
    result.from[row] = static_cast<int>(2 - column);
    result.flip[row] = m[row][column] < 0;
    m[row] = {};  // taken
  }
  return result;
}

Size3 reoriented(const Size3& size, const Orientation& orientation) {
  Size3 result;
  for (size_t a = 0; a < 3; ++a) result[a] = size[static_cast<size_t>(orientation.from[a])];
  return result;
}

std::array<double, 3> reoriented(const std::array<double, 3>& spacing, const Orientation& orientation) {
  std::array<double, 3> result;
  for (size_t a = 0; a < 3; ++a) result[a] = spacing[static_cast<size_t>(orientation.from[a])];
  return result;
}

Tensor reorient(const TensorView& x, const Orientation& orientation) {
  expect_volume("reorient", x);
  const Size3 in{x.shape()[0], x.shape()[1], x.shape()[2]}, out = reoriented(in, orientation);
  const int64_t c = x.channels(), ld = x.row_stride();
  const Size3 in_step{in[1] * in[2] * ld, in[2] * ld, ld};
  Size3 step;  // elements of x from one voxel of y to the next, along each axis of y
  int64_t start = 0;
  for (size_t a = 0; a < 3; ++a) {
    step[a] = in_step[static_cast<size_t>(orientation.from[a])];
    if (!orientation.flip[a]) continue;
    start += (out[a] - 1) * step[a];
    step[a] = -step[a];
  }
  const Tensor y = Tensor::empty(Device::cpu, {out[0], out[1], out[2], c}, x.dtype());
  with_type(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    parallel_ranges(out[0] * out[1], 1 + 16384 / (out[2] * c), [&](int64_t first, int64_t last, int) {
      for (int64_t row = first; row < last; ++row) {
        const T* from = x.data<T>() + start + row / out[1] * step[0] + row % out[1] * step[1];
        T* into = y.data<T>() + row * out[2] * c;
        for (int64_t k = 0; k < out[2]; ++k, from += step[2], into += c) std::copy_n(from, c, into);
      }
    });
  });
  return y;
}

}  // namespace lgms::transform
