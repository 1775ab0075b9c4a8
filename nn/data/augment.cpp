#include "nn/data/augment.h"

#include "core/transform/flip.h"

namespace lgms::nn {

RotateFlip RotateFlip::draw(Rng& rng) {
  RotateFlip drawn;
  if (rng.uniform() < 0.5) drawn.quarter_turns = static_cast<int>(rng.below(4));
  if (rng.uniform() < 0.5) {
    const uint32_t kind = rng.below(3);
    drawn.vertical = kind != 1;
    drawn.horizontal = kind != 0;
  }
  return drawn;
}

Tensor RotateFlip::operator()(const Tensor& t) const {
  Tensor result = quarter_turns == 0 ? t : transform::rot90(t, quarter_turns);
  if (vertical) result = transform::flip_vertical(result);
  if (horizontal) result = transform::flip_horizontal(result);
  return result;
}

}  // namespace lgms::nn
