#include "lgmsnet/volume_plan.h"

#include <algorithm>

#include "core/context.h"
#include "core/error.h"
#include "lgmsnet/steps.h"
#include "lgmsnet/volume_inference.h"

namespace lgms {
namespace {

// Small objects to come; the stack of each thread, its buffers and what it compresses with.
constexpr int64_t kObjects = 4'000'000, kThread = 900'000;
// Of the estimate, for what rounding of blocks and the heap's gaps cost: seen up to 1 %.
constexpr int64_t kSparePercent = 3;

constexpr int64_t kMostSide = 1 << 16;

int64_t voxels_of(const Size3& size) { return Shape(size).numel(); }  // which has its limit

int64_t weight_bytes(const Config& config) {
  int64_t bytes = 0;
  for (const ParameterSpec& p : parameter_specs(config)) bytes += p.shape.numel() * size_of(p.dtype);
  return bytes;
}

}  // namespace

int64_t VolumeCost::Step::bytes() const {
  int64_t sum = 0;
  for (const auto& part : parts) sum += part.second;
  return sum;
}

const VolumeCost::Step& VolumeCost::largest() const {
  return *std::max_element(steps.begin(), steps.end(),
                           [](const Step& a, const Step& b) { return a.bytes() < b.bytes(); });
}

int64_t VolumeCost::peak_bytes(int64_t ahead) const {
  if (ahead > 0) ahead += ahead * kSparePercent / 100 + kThread;  // which reads it
  int64_t most = 0;
  for (size_t i = 0; i < steps.size(); ++i)
    most = std::max(most, steps[i].bytes() + (i < first_window_step ? 0 : ahead));
  return most;
}

VolumeCost plan_volume(const Config& config, const VolumeRecipe& recipe, const VolumeWork& work) {
  for (const int64_t side : work.native)
    check(side >= 1 && side <= kMostSide, ErrorKind::usage, "[volume] size: expected sides of 1 to ", kMostSide,
          " voxels, got ", work.native[0], " x ", work.native[1], " x ", work.native[2]);
  const VolumeGrid grid = volume_grid(recipe, work.native, work.affine);
  VolumeCost cost;
  cost.windows = plan_windows(grid.size, recipe.patch, recipe.overlap, recipe.gaussian);
  cost.forward = forward_cost(config, {1, recipe.patch[0], recipe.patch[1], recipe.patch[2], config.in_channels});
  cost.runs = cost.windows.windows() * (work.mirror ? 8 : 1);

  constexpr int64_t f32 = sizeof(float);
  const int64_t native = voxels_of(work.native), resampled = voxels_of(grid.resampled), weights = weight_bytes(config);
  const bool resamples = grid.resampled != transform::reoriented(grid.native, grid.orientation);
  const auto step = [&](const char* name, std::vector<std::pair<std::string, int64_t>> parts) {
    parts.insert(parts.begin(), {{"program", work.program_bytes + kObjects + kThread * Context::current().threads()},
                                 {"weights", weights},
                                 {"packed weights", cost.steps.empty() ? 0 : cost.forward.packed_bytes}});
    std::erase_if(parts, [](const auto& part) { return part.second == 0; });
    int64_t sum = 0;
    for (const auto& part : parts) sum += part.second;
    parts.emplace_back("spare", sum * kSparePercent / 100);
    cost.steps.push_back({name, std::move(parts)});
  };

  step("loading the model", {{"model file", weights}});
  cost.voxel_bytes = native * f32;
  step("reading", {{"voxels", cost.voxel_bytes}});
  // The voxels and a turned copy; then what that is resampled into, and the box that is cut out.
  const int64_t copies = std::max(native + (resamples ? resampled : 0), recipe.crop_foreground ? 2 * resampled : 0);
  step("making the input", {{"voxels", native * f32}, {"copies", copies * f32}});
  const int64_t padded = voxels_of(cost.windows.padded) * f32;
  if (cost.windows.padded != cost.windows.size)
    step("padding", {{"input", voxels_of(grid.size) * f32}, {"padded", padded}});
  cost.first_window_step = cost.steps.size();
  const int64_t probabilities = work.whole_probabilities ? native * config.classes * f32 : 0;
  const NativeLabels::Memory labels = NativeLabels::memory(grid, cost.windows.axes, config.classes);
  for (const auto& [name, part, bytes] : {std::tuple{"windows", "network", cost.forward.peak_bytes},
                                          std::tuple{"resampling slabs", "resampled slab", labels.moment}})
    step(name, {{"input", padded},
                {"probabilities in work", cost.windows.ring_size(config.classes) * f32},
                {"labels and slices", labels.held},
                {"probabilities", probabilities},
                {part, bytes}});
  if (work.components)
    step("components",
         {{"labels", native}, {"probabilities", probabilities}, {"components", native * int64_t{sizeof(int32_t)}}});
  if (work.whole_volumes)
    step("pictures and probabilities",
         {{"labels", native}, {"probabilities", probabilities}, {"voxels", native * f32}});
  return cost;
}

}  // namespace lgms
