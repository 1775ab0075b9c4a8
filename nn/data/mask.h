#pragma once
// What a mask file means: which of its values, indices, colours or alphas are foreground. Nothing is guessed; a file
// that could mean two things is refused.
#include <filesystem>
#include <optional>

#include "core/formats/image.h"

namespace lgms::nn {

// Foreground of a mask as Example holds it is what is above this; in between are soft edges.
inline constexpr int kMaskMiddle = 127;

// The mask of an image that was read from `name`: u8 [H, W, 1], 0 background, 255 foreground. The values of a file are
// grey levels or palette indices as they are stored, 0 to `full` = 2^depth - 1. They mean, without a threshold:
// - 0 and one other value, or one of them alone: the other, 1, 255 or full (indices: 1 or 255), is foreground. Grey of
//   8 bits may have any value above 127 there, which the mask keeps.
// - soft edges (a mask that was resized or drawn with antialiasing), grey only: scaled to 0..255, 8 bits as they are. 0
//   and white (full, or 255) occur, with at least three values in between, on both sides of the middle, that take no
//   more than half of the pixels, and no more than twice as many as white; and at least half of these pixels have a
//   darker and a brighter one among their eight neighbours. The levels of a label map have not: its areas are flat
//   inside, and at their edges nothing lies between.
// - threshold: values above it are foreground, whatever they are.
// Transparency that varies over the file is a mask too: alone where grey does not vary, else the two must agree. The
// indices and the greys of a grey palette must agree; of a palette with colours, index 0 must be darker than what is
// foreground. Colours (R, G, B not the same): two of them, one black, and no threshold.
// Throws Error{data} with the values found on everything else.
Tensor mask_of(const io::StoredImage& image, const std::string& name, std::optional<int> threshold = {});

}  // namespace lgms::nn
