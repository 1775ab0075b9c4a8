#include "lgmsnet/recipe.h"

#include <cmath>

#include "core/transform/flip.h"
#include "core/transform/normalise.h"
#include "core/transform/pad.h"
#include "core/transform/resize.h"
#include "lgmsnet/config.h"
#include "lgmsnet/json.h"

namespace lgms {
namespace {

constexpr int64_t kSide = Config::kInputMultiple;
constexpr int kMiddle = 127;  // foreground of a mask is above it

// f32 [h, w, 3] with values in 0..255 -> [1, h, w, 3] normalised as the recipe says.
Tensor normalised(const Recipe& recipe, const Tensor& pixels) {
  const std::array<float, 3> mean{float(recipe.mean[0]), float(recipe.mean[1]), float(recipe.mean[2])},
      std{float(recipe.std[0]), float(recipe.std[1]), float(recipe.std[2])};
  Tensor x = transform::normalise(pixels, mean, std);
  if (recipe.divide_again) x = transform::divide_by_255(x);
  return x.reshaped({1, x.shape()[0], x.shape()[1], x.channels()});
}

void expect_picture(const TensorView& image) {
  check(
      image.shape().rank() == 3 && image.channels() == 3 && (image.dtype() == DType::u8 || image.dtype() == DType::f32),
      ErrorKind::usage, "[recipe] image: expected u8 or f32 [H, W, 3], got ", image.dtype(), " ", image.shape());
}

// Stored pixels as f32, in the recipe's channel order.
Tensor ordered(const Recipe& recipe, const TensorView& image) {
  Tensor pixels = Tensor::empty(Device::cpu, image.shape(), image.dtype());
  pixels.copy_from(image);
  return (recipe.bgr ? transform::reverse_channels(pixels) : pixels).to(DType::f32);
}

Tensor sigmoid(const TensorView& logits) {
  check(logits.shape().rank() == 5 && logits.shape()[0] == 1 && logits.shape()[1] == 1, ErrorKind::usage,
        "[recipe] logits: expected [1, 1, h, w, K], got ", logits.shape());
  Tensor p = Tensor::empty(Device::cpu, {logits.shape()[2], logits.shape()[3], logits.channels()});
  const int64_t c = logits.channels();
  for (int64_t row = 0; row < logits.rows(); ++row)
    for (int64_t k = 0; k < c; ++k)
      p.data<float>()[row * c + k] = 1.0f / (1.0f + std::exp(-logits.data<float>()[row * logits.row_stride() + k]));
  for (const float v : p.span<float>())
    check(!std::isnan(v), ErrorKind::model,
          "[recipe] probabilities: expected numbers, the network gave others; its training diverged, or the picture is "
          "beyond what it can take");
  return p;
}

}  // namespace

Recipe Recipe::named(std::string_view name) {
  Recipe recipe;
  if (name == "default-2d") return recipe;
  check(name == "paper-2d", ErrorKind::usage, "[recipe] expected default-2d or paper-2d, got '", name, "'");
  recipe.name = "paper-2d";
  recipe.bgr = recipe.round_resized = recipe.divide_again = true;
  recipe.binarise = recipe.nearest_half_pixel = false;
  return recipe;
}

std::string Recipe::to_json() const {
  io::Json object;
  object["name"] = name;
  object["size"] = size;
  object["bgr"] = bgr;
  object["round_resized"] = round_resized;
  object["mean"] = mean;
  object["std"] = std;
  object["divide_again"] = divide_again;
  object["binarise"] = binarise;
  object["mask_threshold"] = mask_threshold;
  object["nearest_half_pixel"] = nearest_half_pixel;
  object["threshold"] = threshold;
  if (white != 0) object["white"] = white;
  if (threshold_given) object["threshold_given"] = true;
  return object.dump();
}

Recipe Recipe::from_json(const std::string& text, const std::string& source) {
  const JsonObject object(text, source, "recipe");
  Recipe recipe;
  recipe.name = object.string("name");
  for (size_t i = 0; i < 2; ++i) {
    recipe.size[i] = object.integer(object.array("size", 2, 2)[i], "size", kSide, 1 << 14);
    check(recipe.size[i] % kSide == 0, ErrorKind::model, object.where(), " size: expected multiples of 32, got ",
          recipe.size[i]);
  }
  recipe.bgr = object.boolean("bgr");
  recipe.round_resized = object.boolean("round_resized");
  for (size_t i = 0; i < 3; ++i) {
    recipe.mean[i] = object.number(object.array("mean", 3, 3)[i], "mean", -1e6, 1e6);
    recipe.std[i] = object.number(object.array("std", 3, 3)[i], "std", 1e-6, 1e6);
  }
  recipe.divide_again = object.boolean("divide_again");
  recipe.binarise = object.boolean("binarise");
  recipe.mask_threshold = static_cast<int>(object.integer(object.member("mask_threshold"), "mask_threshold", 0, 65534));
  recipe.nearest_half_pixel = object.boolean("nearest_half_pixel");
  recipe.threshold = object.number(object.member("threshold"), "threshold", 0, 1);
  if (object.contains("white"))
    recipe.white = static_cast<int>(object.integer(object.member("white"), "white", 0, 65535));
  if (object.contains("threshold_given")) recipe.threshold_given = object.boolean("threshold_given");
  object.expect_only({"name", "size", "bgr", "round_resized", "mean", "std", "divide_again", "binarise",
                      "mask_threshold", "nearest_half_pixel", "threshold", "white", "threshold_given"});
  return recipe;
}

std::optional<int> Recipe::threshold_of_masks() const {
  return mask_threshold == Recipe{}.mask_threshold && !threshold_given ? std::optional<int>{} : mask_threshold;
}

Tensor make_input(const Recipe& recipe, const TensorView& image) {
  expect_picture(image);
  Tensor pixels = transform::resize_bilinear(ordered(recipe, image), recipe.size[0], recipe.size[1]);
  if (recipe.round_resized) pixels = transform::round_to_8_bits(pixels);
  return normalised(recipe, pixels);
}

Tensor make_native_input(const Recipe& recipe, const TensorView& image) {
  expect_picture(image);
  return normalised(recipe, transform::pad_edge(ordered(recipe, image), kSide));
}

Tensor make_target(const Recipe& recipe, const TensorView& masks) {
  const Tensor small =
      transform::resize_nearest(masks, recipe.size[0], recipe.size[1],
                                recipe.nearest_half_pixel ? transform::Nearest::centre : transform::Nearest::corner);
  Tensor target = Tensor::empty(Device::cpu, {1, recipe.size[0], recipe.size[1], masks.channels()});
  const auto values = small.span<uint8_t>();
  for (size_t i = 0; i < values.size(); ++i)
    target.data<float>()[i] =
        recipe.binarise ? (values[i] > kMiddle ? 1.0f : 0.0f) : static_cast<float>(values[i]) / 255.0f;
  return target;
}

Tensor probabilities_at(const TensorView& logits, int64_t height, int64_t width) {
  return transform::resize_bilinear(sigmoid(logits), height, width);
}

Tensor native_probabilities(const TensorView& logits, int64_t height, int64_t width) {
  return transform::crop(sigmoid(logits), height, width);
}

Tensor masks_from(const TensorView& probabilities, double threshold) {
  Tensor masks = Tensor::empty(Device::cpu, probabilities.shape(), DType::u8);
  const auto p = probabilities.span<float>();
  for (size_t i = 0; i < p.size(); ++i) masks.data<uint8_t>()[i] = p[i] > static_cast<float>(threshold) ? 255 : 0;
  return masks;
}

}  // namespace lgms
