#pragma once
// Masks drawn over the picture they belong to.
#include <array>

#include "core/tensor.h"

namespace lgms {

using Colour = std::array<int, 3>;
inline constexpr Colour kTruthColour{0, 200, 60};  // none of the labels', and seen on dark and on bright pictures
Colour label_colour(int64_t label);                // of labels from 1 on; six, then again
// percent of the colour over an RGB pixel.
void paint(uint8_t* pixel, const Colour& colour, int percent = 100);

// image: u8 or f32 [H, W, 3], 0..255; masks: u8 [H, W, K], drawn where not 0: the area tinted and its edge full in the
// colour of the class. truth, if defined: u8 [H, W, K], its edge in green. Returns a new u8 [H, W, 3].
Tensor overlay(const Tensor& image, const Tensor& masks, const Tensor& truth = {});

}  // namespace lgms
