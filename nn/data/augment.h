#pragma once
// Random rotations and flips of an example, in whole pixels: every value survives, none is invented.
#include "core/rng.h"
#include "core/tensor.h"

namespace lgms::nn {

// What the 2D recipe draws: a rotation with p 0.5 (k uniform in 0..3), then a flip with p 0.5 (vertical, horizontal or
// both). Drawing and applying are apart so that an image and its masks get the same one.
struct RotateFlip {
  int quarter_turns = 0;  // counter-clockwise
  bool vertical = false, horizontal = false;

  static RotateFlip draw(Rng& rng);
  Tensor operator()(const Tensor& t) const;  // t: [H, W, C] of any type
};

}  // namespace lgms::nn
