#include "nn/surface_metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "core/error.h"
#include "core/geometry.h"
#include "nn/distance_transform.h"

namespace lgms::nn {
namespace {

struct Box {
  Size3 first, last;  // last is outside
};

// The smallest box that holds the label of both volumes; nothing where neither has it.
std::optional<Box> box_of(const TensorView& a, const TensorView& b, uint8_t label) {
  const Shape& s = a.shape();
  Box box{{s[0], s[1], s[2]}, {0, 0, 0}};
  const uint8_t *pa = a.data<uint8_t>(), *pb = b.data<uint8_t>();
  for (int64_t z = 0; z < s[0]; ++z)
    for (int64_t y = 0; y < s[1]; ++y)
      for (int64_t x = 0; x < s[2]; ++x, ++pa, ++pb) {
        if (*pa != label && *pb != label) continue;
        const Size3 here{z, y, x};
        for (size_t i = 0; i < 3; ++i) {
          box.first[i] = std::min(box.first[i], here[i]);
          box.last[i] = std::max(box.last[i], here[i] + 1);
        }
      }
  return box.last[0] == 0 ? std::nullopt : std::optional(box);
}

// The label inside a box as 0 and 1, u8, with a voxel of background on every side.
struct Mask {
  Size3 size;  // with the margin
  Tensor voxels;

  Mask(const TensorView& labels, uint8_t label, const Box& box) {
    for (size_t i = 0; i < 3; ++i) size[i] = box.last[i] - box.first[i] + 2;
    voxels = Tensor::zeros(Device::cpu, {size[0], size[1], size[2], 1}, DType::u8);
    const Shape& s = labels.shape();
    for (int64_t z = box.first[0]; z < box.last[0]; ++z)
      for (int64_t y = box.first[1]; y < box.last[1]; ++y) {
        const uint8_t* from = labels.data<uint8_t>() + (z * s[1] + y) * s[2] + box.first[2];
        uint8_t* to = voxels.data<uint8_t>() + ((z - box.first[0] + 1) * size[1] + y - box.first[1] + 1) * size[2] + 1;
        for (int64_t x = 0; x < size[2] - 2; ++x) to[x] = from[x] == label;
      }
  }
};

// Pieces of a surface on a grid: their places, as seeds for distances and as a list, and their areas.
struct Surface {
  Tensor seeds;
  std::vector<size_t> places;
  std::vector<double> areas;
};

// The voxels that erosion takes away, each of area 1.
Surface voxel_surface(const Mask& mask) {
  const auto [d, h, w] = mask.size;
  const auto in = mask.voxels.span<uint8_t>();
  Surface surface{Tensor::zeros(Device::cpu, mask.voxels.shape(), DType::u8), {}, {}};
  for (int64_t z = 1; z + 1 < d; ++z)
    for (int64_t y = 1; y + 1 < h; ++y)
      for (int64_t x = 1; x + 1 < w; ++x) {
        const uint8_t* v = &in[static_cast<size_t>((z * h + y) * w + x)];
        if (*v == 0 || (v[-1] & v[1] & v[-w] & v[w] & v[-h * w] & v[h * w]) != 0) continue;
        surface.places.push_back(static_cast<size_t>(v - in.data()));
        surface.seeds.span<uint8_t>()[surface.places.back()] = 1;
      }
  return surface;
}

// The corners of voxels that the surface passes by, with the areas of their pieces.
Surface corner_surface(const Mask& mask, const std::array<double, 256>& areas) {
  const int64_t d = mask.size[0] - 1, h = mask.size[1] - 1, w = mask.size[2] - 1;
  Surface surface{Tensor::zeros(Device::cpu, {d, h, w, 1}, DType::u8), {}, {}};
  const int64_t row = mask.size[2], plane = row * mask.size[1];
  for (int64_t z = 0; z < d; ++z)
    for (int64_t y = 0; y < h; ++y) {
      const uint8_t* v = mask.voxels.data<uint8_t>() + z * plane + y * row;
      for (int64_t x = 0; x < w; ++x, ++v) {
        const int code = v[0] << 7 | v[1] << 6 | v[row] << 5 | v[row + 1] << 4 | v[plane] << 3 | v[plane + 1] << 2 |
                         v[plane + row] << 1 | v[plane + row + 1];
        if (code == 0 || code == 255) continue;
        surface.places.push_back(static_cast<size_t>((z * h + y) * w + x));
        surface.areas.push_back(areas[static_cast<size_t>(code)]);
        surface.seeds.span<uint8_t>()[surface.places.back()] = 1;
      }
    }
  return surface;
}

// mm from every piece of one surface to the nearest of another; none where either is empty.
std::vector<double> distances(const Surface& from, const Surface& to, const std::array<double, 3>& spacing) {
  const Tensor all = distance_transform(to.seeds, spacing);
  std::vector<double> mm;
  mm.reserve(from.places.size());
  for (size_t place : from.places) mm.push_back(all.data<double>()[place]);
  return mm;
}

// numpy.percentile(values, 95) of at least one value.
double percentile_95(std::vector<double> values) {
  const double rank = static_cast<double>(values.size() - 1) * 0.95, whole = std::floor(rank);
  const auto low = values.begin() + static_cast<ptrdiff_t>(whole);
  std::nth_element(values.begin(), low, values.end());
  if (low + 1 == values.end()) return *low;
  return *low + (rank - whole) * (*std::min_element(low + 1, values.end()) - *low);
}

double surface_dice_of(const Surface& a, const Surface& b, const std::array<double, 3>& spacing, double tolerance) {
  double near = 0, all = 0;
  const auto add = [&](const Surface& from, const Surface& to) {
    const std::vector<double> mm = distances(from, to, spacing);
    for (size_t i = 0; i < mm.size(); ++i) {
      all += from.areas[i];
      if (mm[i] <= tolerance) near += from.areas[i];
    }
  };
  add(a, b);
  add(b, a);
  return near / all;
}

}  // namespace

std::array<double, 256> surface_areas(const std::array<double, 3>& spacing) {
  // For each case up to symmetry: which of the eight are inside, and the normals of the pieces in eighths of a voxel's
  // faces, in absolute values (their lengths are areas; equal directions are added up). Turning, mirroring and swapping
  // inside and outside makes the other 242 of these, as it does in the reference's table.
  struct Case {
    int code;
    std::array<int, 3> normals[3];
  };
  static constexpr Case cases[] = {
      {1, {{1, 1, 1}}},
      {3, {{4, 4, 0}}},
      {6, {{2, 2, 2}}},
      {7, {{4, 0, 0}, {3, 3, 3}}},
      {15, {{8, 0, 0}}},
      {22, {{3, 3, 3}}},
      {23, {{6, 6, 6}}},
      {24, {{2, 2, 2}}},
      {25, {{0, 4, 4}, {1, 1, 1}}},
      {27, {{0, 2, 2}, {2, 0, 2}, {4, 4, 4}}},
      {30, {{4, 0, 0}, {4, 4, 4}}},
      {60, {{8, 8, 0}}},
      {105, {{4, 4, 4}}},
  };
  static constexpr int axes[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  std::array<double, 256> areas{};  // of the case without a surface: 0
  for (const Case& one : cases)
    for (const auto& axis : axes) {
      double area = 0;
      for (const auto& n : one.normals) {
        double square = 0;
        for (size_t i = 0; i < 3; ++i) {  // component i of the case lies along `axis[i]`, across the other two
          const auto a = static_cast<size_t>(axis[i]);
          const double across = n[i] / 8.0 * spacing[(a + 1) % 3] * spacing[(a + 2) % 3];
          square += across * across;
        }
        area += std::sqrt(square);
      }
      for (int mirror = 0; mirror < 8; ++mirror) {
        int code = 0;
        for (int bit = 0; bit < 8; ++bit) {
          if ((one.code >> bit & 1) == 0) continue;
          int turned = 0;  // bit 2 - i of a place is its component i
          for (int i = 0; i < 3; ++i) turned |= (bit >> (2 - i) & 1) << (2 - axis[i]);
          code |= 1 << (turned ^ mirror);
        }
        areas[static_cast<size_t>(code)] = areas[static_cast<size_t>(255 - code)] = area;
      }
    }
  return areas;
}

SurfaceScores surface_scores(const TensorView& predicted, const TensorView& truth, uint8_t label,
                             const std::array<double, 3>& spacing, double tolerance, EmptyPolicy policy) {
  for (const TensorView* labels : {&predicted, &truth})
    check(labels->shape().rank() == 4 && labels->channels() == 1 && labels->dtype() == DType::u8 && labels->is_dense(),
          ErrorKind::usage, "[surface_metrics] labels: expected u8 [D, H, W, 1], got ", labels->dtype(), " ",
          labels->shape());
  check(predicted.shape() == truth.shape(), ErrorKind::usage, "[surface_metrics] predicted: expected ", truth.shape(),
        " like the truth, got ", predicted.shape());
  check(tolerance >= 0, ErrorKind::usage, "[surface_metrics] tolerance: expected mm, at least 0, got ", tolerance);

  const std::optional<Box> box = box_of(predicted, truth, label);
  if (!box) {
    const double undefined = std::numeric_limits<double>::quiet_NaN();
    if (policy == EmptyPolicy::one) return {1, 0, 0};
    return {policy == EmptyPolicy::zero ? 0 : undefined, undefined, undefined};
  }
  const Mask a(predicted, label, *box), b(truth, label, *box);
  const Surface surface_a = voxel_surface(a), surface_b = voxel_surface(b);
  if (surface_a.places.empty() || surface_b.places.empty()) {
    const double infinity = std::numeric_limits<double>::infinity();
    return {0, infinity, infinity};
  }
  std::vector<double> there = distances(surface_a, surface_b, spacing), back = distances(surface_b, surface_a, spacing);
  SurfaceScores scores{};
  scores.hd95_max = std::max(percentile_95(there), percentile_95(back));
  there.insert(there.end(), back.begin(), back.end());
  scores.hd95_pooled = percentile_95(std::move(there));
  const std::array<double, 256> areas = surface_areas(spacing);
  scores.surface_dice = surface_dice_of(corner_surface(a, areas), corner_surface(b, areas), spacing, tolerance);
  return scores;
}

}  // namespace lgms::nn
