#include "lgmsnet/volume_recipe.h"

#include <algorithm>
#include <cmath>

#include "core/transform/cut.h"
#include "core/transform/resample.h"
#include "lgmsnet/config.h"
#include "lgmsnet/json.h"

namespace lgms {
namespace {

constexpr int64_t kSide = Config::kInputMultiple;
constexpr double kMostVoxels = 1 << 30;

Size3 size_of(const TensorView& x) { return {x.shape()[0], x.shape()[1], x.shape()[2]}; }

void expect_volume(const char* what, const TensorView& x, DType dtype) {
  check(x.shape().rank() == 4 && x.channels() == 1 && x.numel() > 0 && x.dtype() == dtype, ErrorKind::usage,
        "[recipe] ", what, ": expected ", dtype, " [D, H, W, 1] with at least one voxel, got ", x.dtype(), " ",
        x.shape());
}

// low..high to 0..1, clipped.
void window(const VolumeRecipe& recipe, const Tensor& x) {
  const auto low = static_cast<float>(recipe.low), width = static_cast<float>(recipe.high - recipe.low);
  for (float& v : x.span<float>()) v = std::clamp((v - low) / width, 0.0f, 1.0f);
}

// (x - mean) / standard deviation over all voxels; sums in double.
void z_score(const Tensor& x) {
  const auto values = x.span<float>();
  const auto n = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (float v : values) sum += static_cast<double>(v);
  const double mean = sum / n;
  for (float v : values) squares += (static_cast<double>(v) - mean) * (static_cast<double>(v) - mean);
  const double deviation = std::sqrt(squares / n), scale = deviation > 0 ? 1 / deviation : 0;
  for (float& v : values) v = static_cast<float>((static_cast<double>(v) - mean) * scale);
}

// The box of voxels above 0; everything where there are none.
void foreground(const Tensor& x, VolumeGrid& grid) {
  Size3 first = grid.resampled, last{-1, -1, -1};
  const float* v = x.data<float>();
  for (int64_t d = 0; d < grid.resampled[0]; ++d)
    for (int64_t h = 0; h < grid.resampled[1]; ++h)
      for (int64_t w = 0; w < grid.resampled[2]; ++w)
        if (*v++ > 0) {
          const Size3 at{d, h, w};
          for (size_t a = 0; a < 3; ++a) {
            first[a] = std::min(first[a], at[a]);
            last[a] = std::max(last[a], at[a]);
          }
        }
  if (last[0] < 0) return;
  grid.origin = first;
  for (size_t a = 0; a < 3; ++a) grid.size[a] = last[a] - first[a] + 1;
}

}  // namespace

VolumeRecipe VolumeRecipe::named(std::string_view name) {
  VolumeRecipe recipe;
  if (name == "default-3d") return recipe;
  check(name == "paper-3d", ErrorKind::usage, "[recipe] expected default-3d or paper-3d, got '", name, "'");
  recipe.name = "paper-3d";
  recipe.ras = recipe.window = recipe.crop_foreground = recipe.intensity_jitter = true;
  recipe.spacing = {1.5, 1.5, 2.0};
  recipe.pad_edge = recipe.gaussian = false;
  return recipe;
}

std::string VolumeRecipe::to_json() const {
  io::Json object;
  object["name"] = name;
  object["ras"] = ras;
  object["spacing"] = spacing;
  object["window"] = window;
  object["low"] = low;
  object["high"] = high;
  object["crop_foreground"] = crop_foreground;
  object["pad_edge"] = pad_edge;
  object["intensity_jitter"] = intensity_jitter;
  object["patch"] = patch;
  object["overlap"] = overlap;
  object["gaussian"] = gaussian;
  return object.dump();
}

VolumeRecipe VolumeRecipe::from_json(const std::string& text, const std::string& source) {
  const JsonObject object(text, source, "recipe");
  VolumeRecipe recipe;
  recipe.name = object.string("name");
  recipe.ras = object.boolean("ras");
  recipe.window = object.boolean("window");
  recipe.low = object.number(object.member("low"), "low", -1e9, 1e9);
  recipe.high = object.number(object.member("high"), "high", -1e9, 1e9);
  check(recipe.low < recipe.high, ErrorKind::model, object.where(), " high: expected more than low, ", recipe.low,
        ", got ", recipe.high);
  recipe.crop_foreground = object.boolean("crop_foreground");
  recipe.pad_edge = object.boolean("pad_edge");
  recipe.intensity_jitter = object.boolean("intensity_jitter");
  for (size_t a = 0; a < 3; ++a) {
    recipe.spacing[a] = object.number(object.array("spacing", 3, 3)[a], "spacing", 0, 1e3);
    recipe.patch[a] = object.integer(object.array("patch", 3, 3)[a], "patch", kSide, 1 << 12);
    check(recipe.patch[a] % kSide == 0, ErrorKind::model, object.where(), " patch: expected multiples of ", kSide,
          ", got ", recipe.patch[a]);
  }
  const auto given = std::count_if(recipe.spacing.begin(), recipe.spacing.end(), [](double s) { return s > 0; });
  check(given == 0 || given == 3, ErrorKind::model, object.where(),
        " spacing: expected three numbers above 0, or three zeros, got ", object.member("spacing").dump());
  recipe.overlap = object.number(object.member("overlap"), "overlap", 0, 0.95);
  recipe.gaussian = object.boolean("gaussian");
  object.expect_only({"name", "ras", "spacing", "window", "low", "high", "crop_foreground", "pad_edge",
                      "intensity_jitter", "patch", "overlap", "gaussian"});
  return recipe;
}

VolumeGrid volume_grid(const VolumeRecipe& recipe, const Size3& native, const Affine& affine) {
  VolumeGrid grid;
  grid.native = native;
  if (recipe.ras) grid.orientation = transform::to_ras(affine);
  grid.resampled = transform::reoriented(native, grid.orientation);
  if (recipe.spacing[0] > 0) {
    const auto spacing = transform::reoriented(spacing_of(affine), grid.orientation);
    double voxels = 1;
    for (size_t a = 0; a < 3; ++a)
      voxels *= std::max(1.0, static_cast<double>(grid.resampled[a]) * spacing[a] / recipe.spacing[a]);
    check(voxels < kMostVoxels, ErrorKind::data, "spacing: expected fewer than 2^30 voxels at the recipe's ",
          recipe.spacing[0], " x ", recipe.spacing[1], " x ", recipe.spacing[2], " mm, got ", voxels, " from ",
          spacing[0], " x ", spacing[1], " x ", spacing[2], " mm; correct the header");
    grid.resampled = transform::resampled_size(grid.resampled, spacing, recipe.spacing);
  }
  grid.size = grid.resampled;
  return grid;
}

VolumeInput make_volume_input(const VolumeRecipe& recipe, const TensorView& voxels, const Affine& affine) {
  expect_volume("voxels", voxels, DType::f32);
  check(!is_singular(affine), ErrorKind::usage, "[recipe] affine: expected three independent axes");
  VolumeInput input{{}, volume_grid(recipe, size_of(voxels), affine)};
  VolumeGrid& grid = input.grid;
  input.image = transform::reorient(voxels, grid.orientation);
  if (grid.resampled != size_of(input.image)) input.image = transform::resample_linear(input.image, grid.resampled);
  if (recipe.window)
    window(recipe, input.image);
  else
    z_score(input.image);
  if (recipe.crop_foreground) foreground(input.image, grid);
  if (grid.size != grid.resampled) input.image = transform::cut(input.image, grid.origin, grid.size);
  return input;
}

Tensor make_volume_labels(const VolumeGrid& grid, const TensorView& labels) {
  expect_volume("labels", labels, DType::u8);
  check(size_of(labels) == grid.native, ErrorKind::usage, "[recipe] labels: expected ", grid.native[0], " x ",
        grid.native[1], " x ", grid.native[2], " voxels like the image, got ", labels.shape());
  const Tensor turned = transform::reorient(labels, grid.orientation);
  return transform::cut(transform::resample_nearest(turned, grid.resampled), grid.origin, grid.size);
}

Tensor pad_to_patch(const VolumeRecipe& recipe, const TensorView& x) {
  Size3 size = size_of(x), origin{};
  for (size_t a = 0; a < 3; ++a) {
    const int64_t missing = std::max<int64_t>(0, recipe.patch[a] - size[a]);
    origin[a] = -(missing / 2);
    size[a] += missing;
  }
  return transform::cut(x, origin, size, recipe.pad_edge ? transform::Outside::edge : transform::Outside::zero);
}

}  // namespace lgms
