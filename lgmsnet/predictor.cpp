#include "lgmsnet/predictor.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "core/context.h"
#include "core/error.h"
#include "core/transform/components.h"
#include "lgmsnet/recipe.h"

namespace lgms {
namespace {

// Slabs of probabilities into a volume [D, H, W, K] as the file has it, of background where none come; then to `also`.
NativeLabels::ProbabilitySink into(const Tensor& volume, const NativeFrame& frame,
                                   const NativeLabels::ProbabilitySink& also) {
  const int64_t classes = volume.channels();
  for (int64_t voxel = 0; voxel < volume.rows(); ++voxel) volume.data<float>()[voxel * classes] = 1;
  return [=](const Size3& at, const TensorView& p) {
    const Shape& s = p.shape();
    const float* from = p.data<float>();
    for (int64_t a = 0; a < s[0]; ++a)
      for (int64_t x = 0; x < s[1]; ++x)
        for (int64_t y = 0; y < s[2]; ++y, from += classes)
          std::copy_n(from, classes,
                      volume.data<float>() + classes * (frame.first + (at[0] + a) * frame.stride[0] +
                                                        (at[1] + x) * frame.stride[1] + (at[2] + y) * frame.stride[2]));
    if (also) also(at, p);
  };
}

}  // namespace

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

// From the host to the network's device and back.
Tensor Predictor::forward(const Tensor& x) const {
  return network_.forward(x.to(Context::current().device())).to(Device::cpu);
}

// input: [1, h, w, C].
Tensor Predictor::run(const Tensor& input) const {
  const Shape& s = input.shape();
  return forward(input.reshaped({1, 1, s[1], s[2], s[3]}));
}

Tensor Predictor::logits(const Tensor& picture) const { return run(make_input(model_.recipe, picture)); }

Tensor Predictor::grid_labels(const Tensor& image) const {
  const Shape& s = image.shape();
  const Size3 size{s[0], s[1], s[2]};
  return segment_input(model_.volume_recipe, {image, {size, {}, size, {}, size}}, model_.config.classes,
                       [this](const Tensor& patch) { return forward(patch); })
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
  if (options.statistics) prediction.statistics = mask_statistics(prediction.labels);
  return prediction;
}

Prediction Predictor::predict_volume(Tensor voxels, const PredictOptions& options) const {
  check(std::isfinite(options.min_millilitres) && options.min_millilitres >= 0, ErrorKind::usage,
        "[predict] min_millilitres: expected a finite number from 0, got ", options.min_millilitres);
  VolumeOptions volume;
  volume.windows = {options.mirror, options.progress};
  volume.probabilities = options.probabilities;
  const VolumeRecipe& recipe = model_.volume_recipe;
  const int64_t classes = model_.config.classes;
  VolumeInput input = make_volume_input(recipe, voxels, options.affine);
  voxels = {};
  Tensor probabilities;
  if (options.whole_probabilities) {
    const auto [depth, height, width] = input.grid.native;
    probabilities = Tensor::zeros(Device::cpu, {depth, height, width, classes});
    const auto axes = plan_windows(input.grid.size, recipe.patch, recipe.overlap, recipe.gaussian).axes;
    volume.probabilities = into(probabilities, native_frame(input.grid, axes), options.probabilities);
  }
  const Segmentation segmentation = segment_input(
      recipe, std::move(input), classes, [this](const Tensor& patch) { return forward(patch); }, volume);
  Context::current().allocator()->trim();  // windows took the most; what follows is not all of it tensors
  if (options.keep_largest) transform::keep_largest(segmentation.labels);
  if (options.min_millilitres > 0) {
    const double least = std::ceil(options.min_millilitres * 1000 / voxel_volume(options.affine) - 1e-9);
    const auto all = static_cast<double>(segmentation.labels.numel());
    transform::remove_small(segmentation.labels, static_cast<int64_t>(std::min(least, all + 1)));
  }
  Prediction prediction{segmentation.labels, probabilities, segmentation.grid, segmentation.axes};
  if (options.statistics) prediction.statistics = label_statistics(prediction.labels, options.affine, classes);
  return prediction;
}

int64_t Predictor::picture_bytes(const Shape& picture, DType dtype, const PredictOptions& options) const {
  const Recipe& recipe = model_.recipe;
  check(picture.rank() == 3 && picture.channels() == 3, ErrorKind::usage, "[predict] picture: expected [H, W, 3], got ",
        picture);
  const int64_t h = picture[0], w = picture[1], classes = model_.config.classes;
  constexpr int64_t side = Config::kInputMultiple;
  const auto padded = [](int64_t n) { return (n + side - 1) / side * side; };
  const int64_t ih = options.native_size ? padded(h) : recipe.size[0],
                iw = options.native_size ? padded(w) : recipe.size[1];
  const auto bytes = [](const Shape& shape, DType type = DType::f32) {
    return Context::current().allocator()->rounded(shape.numel() * size_of(type));
  };
  const int64_t stored = bytes(picture, dtype), pixels = bytes(picture), input = bytes({ih, iw, 3});
  const int64_t turned = recipe.bgr ? stored : 0, converted = dtype == DType::f32 ? 0 : pixels;
  const int64_t small = bytes({ih, iw, classes}), large = bytes({h, w, classes});
  const ForwardCost network = forward_cost(model_.config, {1, 1, ih, iw, 3});
  return network.packed_bytes +
         std::max({stored + turned + converted, pixels + input, 2 * input,  // made an input of, which stays
                   network.peak_bytes + small + large,                      // logits, in the arena; sigmoid; its resize
                   input + large + bytes({h, w, classes}, DType::u8)});
}

VolumeCost Predictor::cost(const Size3& native, const PredictOptions& options, bool whole_volumes,
                           int64_t program_bytes, const std::optional<VolumeRecipe>& recipe) const {
  return plan_volume(model_.config, recipe ? *recipe : model_.volume_recipe,
                     {.native = native,
                      .affine = options.affine,
                      .mirror = options.mirror,
                      .components = options.keep_largest || options.min_millilitres > 0,
                      .whole_volumes = whole_volumes,
                      .whole_probabilities = options.whole_probabilities,
                      .program_bytes = program_bytes});
}

Predictor::FittingPatch Predictor::fitting_patch(const Size3& native, const PredictOptions& options, bool whole_volumes,
                                                 int64_t program_bytes, int64_t most) const {
  VolumeRecipe smaller = model_.volume_recipe;
  for (;;) {
    int64_t& longest = *std::max_element(smaller.patch.begin(), smaller.patch.end());
    const int64_t need = cost(native, options, whole_volumes, program_bytes, smaller).peak_bytes();
    if (need <= most || longest == 32) return {smaller.patch, need};
    longest -= 32;
  }
}

double Predictor::seconds_per_window() const {
  const auto& patch = model_.volume_recipe.patch;
  const Shape full{1, patch[0], patch[1], patch[2], 1};
  const auto least = [&](size_t axis) { return std::min<int64_t>(patch[axis], 64); };
  const Shape small{1, least(0), least(1), least(2), 1};
  const Tensor x = Tensor::zeros(Device::cpu, small);
  forward(x);
  const auto start = std::chrono::steady_clock::now();
  forward(x);
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto work = [&](const Shape& of) { return totals_of(steps_of(model_.config, of)).gflop_with_attention(); };
  return took * work(full) / work(small);
}

}  // namespace lgms
