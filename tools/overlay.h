#pragma once
// Masks drawn over the picture they belong to.
#include "core/tensor.h"

namespace lgms::tools {

// image: u8 [H, W, 3]; masks: u8 [H, W, K], drawn where not 0: the area tinted and its edge full in the colour of the
// class. truth, if defined: u8 [H, W, K], its edge in green. Returns a new u8 [H, W, 3].
Tensor overlay(const Tensor& image, const Tensor& masks, const Tensor& truth = {});

}  // namespace lgms::tools
