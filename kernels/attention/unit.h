#pragma once
// Where the tokens of a unit lie.
#include <algorithm>

#include "kernels/attention/attention.h"

namespace lgms::kernels {

struct AttentionUnit {
  AttentionUnit(const AttentionDims& dims, int64_t unit)
      : d(dims),
        head(unit / d.blocks() % d.heads),
        grid(unit / d.blocks() / d.heads % d.grids()),
        image(unit / d.blocks() / d.heads / d.grids()),
        first(unit % d.blocks() * kAttentionLanes),
        last(std::min(first + kAttentionLanes, d.tokens())) {}

  // The row (pixel) of a token of this image and sub-grid.
  int64_t row(int64_t token) const {
    const int64_t w = token % (d.w / 2), h = token / (d.w / 2) % (d.h / 2), depth = token / (d.w / 2 * (d.h / 2));
    return ((image * d.d + depth * d.patch_d + grid / 4) * d.h + 2 * h + grid / 2 % 2) * d.w + 2 * w + grid % 2;
  }

  const AttentionDims& d;
  int64_t head, grid, image, first, last;  // tokens [first, last)
};

}  // namespace lgms::kernels
