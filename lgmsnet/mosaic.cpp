#include "lgmsnet/mosaic.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/error.h"
#include "core/transform/orientation.h"
#include "lgmsnet/overlay.h"

namespace lgms {
namespace {

// The volume seen along (x, y, z) = (right, anterior, superior), without moving a voxel.
struct Turned {
  Size3 size;
  std::array<int64_t, 3> stride;
  std::array<double, 3> spacing;
  int64_t first = 0;

  Turned(const Shape& shape, const Affine& affine) {
    const transform::Orientation orientation = transform::to_ras(affine);
    const Size3 native{shape[0], shape[1], shape[2]};
    size = transform::reoriented(native, orientation);
    spacing = transform::reoriented(spacing_of(affine), orientation);
    const std::array<int64_t, 3> strides{native[1] * native[2], native[2], 1};
    for (size_t a = 0; a < 3; ++a) {
      const auto from = static_cast<size_t>(orientation.from[a]);
      stride[a] = orientation.flip[a] ? -strides[from] : strides[from];
      if (orientation.flip[a]) first += (native[from] - 1) * strides[from];
    }
  }
  int64_t at(int64_t x, int64_t y, int64_t z) const { return first + x * stride[0] + y * stride[1] + z * stride[2]; }
};

bool has_labels(const Turned& t, const TensorView& labels, int64_t z) {
  if (!labels.defined()) return false;
  for (int64_t y = 0; y < t.size[1]; ++y)
    for (int64_t x = 0; x < t.size[0]; ++x)
      if (labels.data<uint8_t>()[t.at(x, y, z)] != 0) return true;
  return false;
}

std::vector<int64_t> choose_slices(const Turned& t, const TensorView& labels, const TensorView& truth, int64_t most) {
  std::vector<int64_t> all;
  for (int64_t z = 0; z < t.size[2]; ++z)
    if (has_labels(t, labels, z) || has_labels(t, truth, z)) all.push_back(z);
  if (all.empty()) {
    all.resize(static_cast<size_t>(t.size[2]));
    std::iota(all.begin(), all.end(), int64_t{0});
  }
  const int64_t n = static_cast<int64_t>(all.size()), count = std::min(most, n);
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < count; ++i) chosen.push_back(all[static_cast<size_t>((2 * i + 1) * n / (2 * count))]);
  return chosen;
}

// The slices with the largest disagreement, of equals the lower one; evenly spaced ones where there is none.
std::vector<int64_t> choose_differences(const Turned& t, const TensorView& labels, const TensorView& truth,
                                        int64_t most) {
  std::vector<std::pair<int64_t, int64_t>> slices;  // {-voxels that differ, z}
  for (int64_t z = 0; z < t.size[2]; ++z) {
    int64_t differ = 0;
    for (int64_t y = 0; y < t.size[1]; ++y)
      for (int64_t x = 0; x < t.size[0]; ++x)
        differ += labels.data<uint8_t>()[t.at(x, y, z)] != truth.data<uint8_t>()[t.at(x, y, z)];
    if (differ > 0) slices.emplace_back(-differ, z);
  }
  if (slices.empty()) return choose_slices(t, labels, truth, most);
  std::sort(slices.begin(), slices.end());
  std::vector<int64_t> chosen;
  for (const auto& [differ, z] : slices)
    if (static_cast<int64_t>(chosen.size()) < most) chosen.push_back(z);
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

// The 1st and 99th percentiles of the slices' finite values.
std::array<float, 2> grey_window(const Turned& t, const TensorView& image, const std::vector<int64_t>& slices) {
  std::vector<float> values;
  for (int64_t z : slices)
    for (int64_t y = 0; y < t.size[1]; ++y)
      for (int64_t x = 0; x < t.size[0]; ++x)
        if (const float v = image.data<float>()[t.at(x, y, z)]; std::isfinite(v)) values.push_back(v);
  if (values.empty()) return {0, 1};
  const auto percentile = [&](double share) {
    const auto n = static_cast<ptrdiff_t>(share * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), values.begin() + n, values.end());
    return values[static_cast<size_t>(n)];
  };
  const float low = percentile(0.01), high = percentile(0.99);
  return {low, high > low ? high : low + 1};
}

// One slice, drawn into the picture with its upper left corner at (top, left).
struct Tile {
  const Turned& t;
  int64_t z, height, width;

  // Source column and row of a pixel: the patient's right (large x) is left, anterior (large y) is up.
  double column(int64_t j) const {
    return static_cast<double>(t.size[0]) * (1 - (static_cast<double>(j) + 0.5) / static_cast<double>(width)) - 0.5;
  }
  double row(int64_t i) const {
    return static_cast<double>(t.size[1]) * (1 - (static_cast<double>(i) + 0.5) / static_cast<double>(height)) - 0.5;
  }
  float grey(const TensorView& image, int64_t i, int64_t j) const {
    const double x = std::clamp(column(j), 0.0, static_cast<double>(t.size[0] - 1)),
                 y = std::clamp(row(i), 0.0, static_cast<double>(t.size[1] - 1));
    const auto x0 = static_cast<int64_t>(x), y0 = static_cast<int64_t>(y);
    const int64_t x1 = std::min(x0 + 1, t.size[0] - 1), y1 = std::min(y0 + 1, t.size[1] - 1);
    const double u = x - static_cast<double>(x0), v = y - static_cast<double>(y0);
    const float* p = image.data<float>();
    return static_cast<float>((1 - v) * ((1 - u) * p[t.at(x0, y0, z)] + u * p[t.at(x1, y0, z)]) +
                              v * ((1 - u) * p[t.at(x0, y1, z)] + u * p[t.at(x1, y1, z)]));
  }
  int label(const TensorView& labels, int64_t i, int64_t j) const {
    if (i < 0 || j < 0 || i >= height || j >= width) return 0;
    const int64_t x = std::clamp<int64_t>(std::lround(column(j)), 0, t.size[0] - 1),
                  y = std::clamp<int64_t>(std::lround(row(i)), 0, t.size[1] - 1);
    return labels.data<uint8_t>()[t.at(x, y, z)];
  }
  // The label whose contour this pixel is on, or 0.
  int contour(const TensorView& labels, int64_t i, int64_t j) const {
    const int l = label(labels, i, j);
    const bool inside = label(labels, i - 1, j) == l && label(labels, i + 1, j) == l && label(labels, i, j - 1) == l &&
                        label(labels, i, j + 1) == l;
    return inside ? 0 : l;
  }
};

}  // namespace

Tensor mosaic(const TensorView& image, const TensorView& labels, const Affine& affine, const TensorView& truth,
              const MosaicOptions& options) {
  const Shape& s = image.shape();
  const auto fits = [&](const TensorView& l) { return l.shape() == s && l.dtype() == DType::u8 && l.is_dense(); };
  check(s.rank() == 4 && s[3] == 1 && s.numel() > 0 && image.dtype() == DType::f32 && image.is_dense() &&
            fits(labels) && (!truth.defined() || fits(truth)),
        ErrorKind::usage, "[mosaic] expected a dense f32 image [D, H, W, 1] and u8 labels of its shape, got ", s,
        " and ", labels.shape());
  const Turned t(s, affine);
  const bool differences = options.differences && truth.defined();
  const std::vector<int64_t> slices =
      (differences ? choose_differences : choose_slices)(t, labels, truth, options.columns * options.rows);
  const auto [low, high] = grey_window(t, image, slices);
  const double w_mm = static_cast<double>(t.size[0]) * t.spacing[0],
               h_mm = static_cast<double>(t.size[1]) * t.spacing[1],
               scale = static_cast<double>(options.tile) / std::max({w_mm, h_mm, 1e-6});
  const int64_t width = std::max<int64_t>(1, std::lround(w_mm * scale)),
                height = std::max<int64_t>(1, std::lround(h_mm * scale)), count = static_cast<int64_t>(slices.size()),
                columns = std::min(options.columns, count), rows = (count + columns - 1) / columns, gap = 2;
  const int64_t full = columns * (width + gap) - gap;
  Tensor picture = Tensor::zeros(Device::cpu, {rows * (height + gap) - gap, full, 3}, DType::u8);
  for (int64_t n = 0; n < count; ++n) {
    const Tile tile{t, slices[static_cast<size_t>(n)], height, width};
    for (int64_t i = 0; i < height; ++i)
      for (int64_t j = 0; j < width; ++j) {
        uint8_t* pixel =
            picture.data<uint8_t>() + ((n / columns * (height + gap) + i) * full + n % columns * (width + gap) + j) * 3;
        const float grey = (tile.grey(image, i, j) - low) / (high - low) * 255;
        std::fill_n(pixel, 3, static_cast<uint8_t>(std::isfinite(grey) ? std::clamp(grey, 0.f, 255.f) : 0.f));
        if (const int label = tile.contour(labels, i, j); label != 0) paint(pixel, label_colour(label));
        if (truth.defined() && tile.contour(truth, i, j) != 0) paint(pixel, kTruthColour);
      }
  }
  return picture;
}

}  // namespace lgms
