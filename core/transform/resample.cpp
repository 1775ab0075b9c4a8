#include "core/transform/resample.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/context.h"
#include "core/transform/voxels.h"

namespace lgms::transform {
namespace {

void expect_size(const char* op, const Size3& size) {
  check(size[0] > 0 && size[1] > 0 && size[2] > 0, ErrorKind::usage, '[', op, "] size: expected 1 or more, got ",
        size[0], " x ", size[1], " x ", size[2]);
}

// An output element is source[first] + weight (source[second] - source[first]): equal neighbours give their value
// exactly, and so does weight 0.
struct Tap {
  int64_t first, second;
  float weight;
};

Tap tap(int64_t i, int64_t in, int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double position = std::clamp((static_cast<double>(i) + 0.5) * scale - 0.5, 0.0, static_cast<double>(in - 1));
  const auto first = static_cast<int64_t>(position);
  return {first, std::min(first + 1, in - 1), static_cast<float>(position - static_cast<double>(first))};
}

float mix(float a, float b, float weight) { return a + weight * (b - a); }

// line = the source rows at heights row.first, row.second of the planes upper and lower, mixed; n elements.
void mix_rows(const float* upper, const float* lower, float depth_weight, int64_t next, float weight, int64_t n,
              float* line) {
  for (int64_t i = 0; i < n; ++i)
    line[i] = mix(mix(upper[i], lower[i], depth_weight), mix(upper[next + i], lower[next + i], depth_weight), weight);
}

}  // namespace

Size3 resampled_size(const Size3& size, const std::array<double, 3>& spacing, const std::array<double, 3>& target) {
  expect_size("resampled_size", size);
  Size3 result;
  for (size_t a = 0; a < 3; ++a) {
    const double wanted = static_cast<double>(size[a]) * spacing[a] / target[a];
    check(spacing[a] > 0 && target[a] > 0 && wanted < double{1 << 30}, ErrorKind::usage,
          "[resampled_size] spacing: expected mm above 0 and fewer than 2^30 voxels, got ", size[a], " at ", spacing[a],
          " to ", target[a]);
    result[a] = std::max<int64_t>(1, std::llround(wanted));
  }
  return result;
}

std::array<int64_t, 2> source_slices(int64_t source_depth, int64_t out_depth, int64_t first, int64_t last) {
  check(source_depth > 0 && 0 <= first && first < last && last <= out_depth, ErrorKind::usage,
        "[source_slices] expected slices within ", out_depth, ", got ", first, " to ", last);
  return {tap(first, source_depth, out_depth).first, tap(last - 1, source_depth, out_depth).second + 1};
}

Tensor resample_linear(const TensorView& x, const Size3& size) {
  expect_volume("resample_linear", x);
  return resample_linear_slab(x, 0, x.shape()[0], size, 0, size[0]);
}

Tensor resample_linear_slab(const TensorView& x, int64_t x_first, int64_t source_depth, const Size3& size,
                            int64_t first, int64_t last) {
  expect_volume("resample_linear", x);
  expect_size("resample_linear", size);
  check(x.dtype() == DType::f32, ErrorKind::usage, "[resample_linear] x: expected f32, got ", x.dtype());
  const auto needed = source_slices(source_depth, size[0], first, last);
  check(x_first <= needed[0] && needed[1] <= x_first + x.shape()[0], ErrorKind::usage,
        "[resample_linear] x: expected the slices ", needed[0], " to ", needed[1], ", got ", x_first, " to ",
        x_first + x.shape()[0]);
  const int64_t height = x.shape()[1], width = x.shape()[2], c = x.channels(), ld = x.row_stride();
  std::vector<Tap> columns;
  for (int64_t k = 0; k < size[2]; ++k) columns.push_back(tap(k, width, size[2]));
  const Tensor y = Tensor::empty(Device::cpu, {last - first, size[1], size[2], c});
  const int64_t rows = (last - first) * size[1];
  parallel_ranges(rows, 1 + 16384 / (size[2] * c), [&](int64_t first_row, int64_t last_row, int) {
    // A source row, of both planes and both heights; its last voxel ends with its C channels, not with the stride.
    const int64_t n = (width - 1) * ld + c;
    std::vector<float> line(static_cast<size_t>(n));
    for (int64_t row = first_row; row < last_row; ++row) {
      const Tap depth = tap(first + row / size[1], source_depth, size[0]), high = tap(row % size[1], height, size[1]);
      const int64_t plane = height * width * ld;
      const float* upper = x.data<float>() + (depth.first - x_first) * plane + high.first * width * ld;
      const float* lower = upper + (depth.second - depth.first) * plane;
      mix_rows(upper, lower, depth.weight, (high.second - high.first) * width * ld, high.weight, n, line.data());
      float* into = y.data<float>() + row * size[2] * c;
      for (const Tap& column : columns) {
        const float *left = line.data() + column.first * ld, *right = line.data() + column.second * ld;
        for (int64_t k = 0; k < c; ++k) *into++ = mix(left[k], right[k], column.weight);
      }
    }
  });
  return y;
}

Tensor resample_nearest(const TensorView& x, const Size3& size) {
  expect_volume("resample_nearest", x);
  expect_size("resample_nearest", size);
  const int64_t c = x.channels();
  const auto source = [&](int64_t i, int axis) {
    return (2 * i + 1) * x.shape()[axis] / (2 * size[static_cast<size_t>(axis)]);
  };
  std::vector<int64_t> columns;
  for (int64_t k = 0; k < size[2]; ++k) columns.push_back(source(k, 2) * x.row_stride());
  const Tensor y = Tensor::empty(Device::cpu, {size[0], size[1], size[2], c}, x.dtype());
  with_type(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    parallel_ranges(size[0] * size[1], 1 + 16384 / (size[2] * c), [&](int64_t first, int64_t last, int) {
      for (int64_t row = first; row < last; ++row) {
        const int64_t line = source(row / size[1], 0) * x.shape()[1] + source(row % size[1], 1);
        const T* from = x.data<T>() + line * x.shape()[2] * x.row_stride();
        T* into = y.data<T>() + row * size[2] * c;
        for (const int64_t column : columns) into = std::copy_n(from + column, c, into);
      }
    });
  });
  return y;
}

}  // namespace lgms::transform
