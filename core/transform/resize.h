#pragma once
#include "core/tensor.h"

namespace lgms::transform {

// Bilinear: output pixel i reads the line through source position max(0, (i + 0.5) in/out - 0.5), clamped at the far
// edge; no antialiasing. x: f32 [H, W, C]; returns [h, w, C].
// Equals torch.nn.functional.interpolate(mode="bilinear", align_corners=False) up to rounding.
Tensor resize_bilinear(const TensorView& x, int64_t h, int64_t w);

// Which source pixel a nearest-neighbour output pixel i takes. corner: floor(i in/out), as OpenCV's INTER_NEAREST;
// centre: floor((i + 0.5) in/out), as torch's "nearest-exact". Computed in integers.
enum class Nearest { corner, centre };

// x: [H, W, C] of any type; returns [h, w, C] of that type.
Tensor resize_nearest(const TensorView& x, int64_t h, int64_t w, Nearest rule);

// Every element rounded to the nearest of 0, 1 .. 255, halves up: what 8-bit storage would keep. x: f32 [H, W, C].
Tensor round_to_8_bits(const TensorView& x);

}  // namespace lgms::transform
