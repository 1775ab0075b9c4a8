#include "lgmsnet/predictor.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "core/context.h"
#include "core/error.h"
#include "core/transform/components.h"
#include "lgmsnet/label_statistics.h"
#include "lgmsnet/recipe.h"

namespace lgms {

Predictor::Predictor(ModelFile model, const std::string& source)
    : model_(std::move(model)), network_(model_.config, model_.tensors, source) {
  model_.tensors.clear();
  const int64_t channels = model_.config.in_channels;
  if (volumes())
    check(channels == 1, ErrorKind::model, "[", source, "] expected a 3D model of one channel, got ", channels);
  else
    check(channels == 3, ErrorKind::model, "[", source, "] expected a 2D model of RGB images, got ", channels,
          " input channels");
}

Predictor::Predictor(ModelFile model, Inference network) : model_(std::move(model)), network_(std::move(network)) {
  model_.tensors.clear();
}

Prediction Predictor::predict(Tensor array, const PredictOptions& options) const {
  return volumes() ? predict_volume(std::move(array), options) : predict_picture(array, options);
}

// input: [1, h, w, C].
Tensor Predictor::run(const Tensor& input) const {
  const Shape& s = input.shape();
  return network_.forward(input.reshaped({1, 1, s[1], s[2], s[3]}));
}

Tensor Predictor::logits(const Tensor& picture) const { return run(make_input(model_.recipe, picture)); }

Tensor Predictor::grid_labels(const Tensor& image) const {
  const Shape& s = image.shape();
  const Size3 size{s[0], s[1], s[2]};
  return segment_input(model_.volume_recipe, {image, {size, {}, size, {}, size}}, model_.config.classes,
                       [this](const Tensor& patch) { return network_.forward(patch); })
      .labels;
}

Prediction Predictor::predict_picture(const Tensor& picture, const PredictOptions& options) const {
  const Tensor input =
      options.native_size ? make_native_input(model_.recipe, picture) : make_input(model_.recipe, picture);
  const int64_t h = picture.shape()[0], w = picture.shape()[1];
  Prediction prediction;
  prediction.probabilities =
      options.native_size ? native_probabilities(run(input), h, w) : probabilities_at(run(input), h, w);
  prediction.labels = masks_from(prediction.probabilities, model_.recipe.threshold);
  return prediction;
}

Prediction Predictor::predict_volume(Tensor voxels, const PredictOptions& options) const {
  VolumeOptions volume;
  volume.windows = {options.mirror, options.progress};
  volume.probabilities = options.probabilities;
  const Segmentation segmentation = segment_volume(
      model_.volume_recipe, std::move(voxels), options.affine, model_.config.classes,
      [this](const Tensor& patch) { return network_.forward(patch); }, volume);
  Context::current().allocator()->trim();  // windows took the most; what follows is not all of it tensors
  if (options.keep_largest) transform::keep_largest(segmentation.labels);
  if (options.min_millilitres > 0) {
    const double least = options.min_millilitres * 1000 / voxel_volume(options.affine);
    transform::remove_small(segmentation.labels, static_cast<int64_t>(std::ceil(least - 1e-9)));
  }
  return {segmentation.labels, {}, segmentation.grid, segmentation.axes};
}

VolumeCost Predictor::cost(const Size3& native, const PredictOptions& options, bool whole_volumes,
                           int64_t program_bytes, const std::optional<VolumeRecipe>& recipe) const {
  return plan_volume(model_.config, recipe ? *recipe : model_.volume_recipe,
                     {.native = native,
                      .affine = options.affine,
                      .mirror = options.mirror,
                      .components = options.keep_largest || options.min_millilitres > 0,
                      .whole_volumes = whole_volumes,
                      .program_bytes = program_bytes});
}

double Predictor::seconds_per_window() const {
  const auto& patch = model_.volume_recipe.patch;
  const Shape full{1, patch[0], patch[1], patch[2], 1};
  const auto least = [&](size_t axis) { return std::min<int64_t>(patch[axis], 64); };
  const Shape small{1, least(0), least(1), least(2), 1};
  const Tensor x = Tensor::zeros(small);
  network_.forward(x);
  const auto start = std::chrono::steady_clock::now();
  network_.forward(x);
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return took * static_cast<double>(forward_cost(model_.config, full).macs) /
         static_cast<double>(forward_cost(model_.config, small).macs);
}

}  // namespace lgms
