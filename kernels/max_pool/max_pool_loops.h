#pragma once
// Both passes over the Vec of the file that includes this: vectors of channels; winners are bytes in lanes.
#include "kernels/max_pool/line.h"
#include "kernels/simd/lanes.h"

namespace lgms::kernels {

void LGMS_ROW(max_pool_forward)(const MaxPoolLine& l, const float* x, float* y, uint8_t* index) {
  for (int64_t o = 0; o < l.outputs; ++o, x += 2 * l.ldx, y += l.ldy, index += index ? l.c : 0)
    over_lanes(l.c, [&](int64_t c, auto how) {
      Vec::T best = how.load(x + c);
      Vec::Bytes winner = Vec::bytes(0);
      for (int64_t tap = 1; tap < l.taps; ++tap) {
        const Vec::T value = how.load(x + l.offset[tap] + c);
        const Vec::Mask take = Vec::either(Vec::greater(value, best), Vec::is_nan(value));
        best = Vec::select(take, value, best);
        winner = Vec::select(take, Vec::bytes(static_cast<int>(tap)), winner);
      }
      how.store(y + c, best);
      if (index) Vec::store(index + c, winner, how.n);
    });
}

void LGMS_ROW(max_pool_backward)(const MaxPoolLine& l, const float* dy, const uint8_t* index, float* dx) {
  for (int64_t o = 0; o < l.outputs; ++o, dx += 2 * l.ldx, dy += l.ldy, index += l.c)
    over_lanes(l.c, [&](int64_t c, auto how) {
      const Vec::T gradient = how.load(dy + c);
      const Vec::Bytes winner = Vec::load(index + c, how.n);
      for (int64_t tap = 0; tap < l.taps; ++tap) {
        const Vec::Mask won = Vec::equal(winner, Vec::bytes(static_cast<int>(tap)));
        how.store(dx + l.offset[tap] + c, Vec::keep(won, gradient));
      }
    });
}

}  // namespace lgms::kernels
