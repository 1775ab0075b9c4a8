#pragma once
// A recipe: every step from a picture to the network's input and from logits to a mask, as data. It travels with the
// weights, which mean nothing without it.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"

namespace lgms {

// Spec "2D recipe" and "Corrected 2D recipe". Values are in stored channel order.
struct Recipe {
  std::string name = "default-2d";        // only informs
  std::array<int64_t, 2> size{256, 256};  // height, width of the network's input; multiples of 32
  bool bgr = false;                       // channel order; else RGB
  bool round_resized = false;             // the resized picture is rounded to 8 bits
  std::array<double, 3> mean{0.485, 0.456, 0.406}, std{0.229, 0.224, 0.225};  // of x/255
  bool divide_again = false;     // (x/255 - mean)/std is divided by 255 once more
  bool binarise = true;          // target = mask > 127, else mask/255
  int mask_threshold = 127;      // of mask files, in their own units (nn::mask_of); 127: none, they say what they mean,
  bool threshold_given = false;  // but for this: 127 was asked for
  bool nearest_half_pixel = true;  // masks: source index floor((i + 0.5) in/out), else floor(i in/out)
  double threshold = 0.5;          // of a probability, for the mask
  int white = 0;                   // the sample of a picture's file that is white; 0: the largest of its depth

  // "default-2d", "paper-2d". Throws Error{usage} on another name.
  static Recipe named(std::string_view name);
  // Keys that came after 0.1.0 (white) may be absent, and have the value under which it ran; all others are needed,
  // unknown ones are refused. Throws Error{model} naming source and key.
  static Recipe from_json(const std::string& json, const std::string& source);
  // `white` only where it is not 0, so that the programs before it read the rest.
  std::string to_json() const;
  // The threshold of mask files, if there is one.
  std::optional<int> threshold_of_masks() const;
  friend bool operator==(const Recipe&, const Recipe&) = default;
};

// image: u8 or f32 [H, W, 3], RGB, 0..255 -> f32 [1, h, w, 3], resized to recipe.size and normalised.
Tensor make_input(const Recipe& recipe, const TensorView& image);
// The same at the image's own size, padded right and bottom (edge replication) to multiples of 32.
Tensor make_native_input(const Recipe& recipe, const TensorView& image);
// masks: u8 [H, W, K], one channel per class, foreground above 127 -> f32 [1, h, w, K].
Tensor make_target(const Recipe& recipe, const TensorView& masks);
// logits: f32 [1, 1, h, w, K] -> probabilities f32 [H, W, K]: sigmoid, then resized bilinearly (half-pixel centres).
Tensor probabilities_at(const TensorView& logits, int64_t height, int64_t width);
// The same for logits of make_native_input: sigmoid, then cropped.
Tensor native_probabilities(const TensorView& logits, int64_t height, int64_t width);
// probabilities f32 [H, W, K] -> u8 [H, W, K]: 255 above the threshold, else 0.
Tensor masks_from(const TensorView& probabilities, double threshold);

}  // namespace lgms
