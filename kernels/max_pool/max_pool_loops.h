#pragma once
// Both passes over the Vec of the file that includes this: vectors of channels; winners are bytes in lanes.
#include "kernels/max_pool/line.h"
#include "kernels/simd/lanes.h"

namespace {

using lgms::kernels::MaxPoolLine;

// 16 lanes: a loop over the taps and a mask for every vector, which cost no more than whole vectors do, are 0.9 of the
// time of all written out (64x64, 64 channels); 8 lanes: 1.25.
constexpr bool kSmall = Vec::lanes == 16;

template <int taps>
void forward(const MaxPoolLine& l, const float* x, float* y, uint8_t* index) {
  for (int64_t o = 0; o < l.outputs; ++o, x += 2 * l.ldx, y += l.ldy, index += index ? l.c : 0) {
    const auto step = [&](int64_t c, auto how) {
      Vec::T best = how.load(x + c);
      Vec::Bytes winner = Vec::bytes(0);
#pragma GCC unroll(kSmall ? 1 : 8)
      for (int tap = 1; tap < taps; ++tap) {
        const Vec::T value = how.load(x + l.offset[tap] + c);
        const Vec::Mask take = Vec::either(Vec::greater(value, best), Vec::is_nan(value));
        best = Vec::select(take, value, best);
        winner = Vec::select(take, Vec::bytes(tap), winner);
      }
      how.store(y + c, best);
      if (index) Vec::store(index + c, winner, how.n);
    };
    if constexpr (kSmall)
      for (int64_t c = 0; c < l.c; c += Vec::lanes) step(c, First{l.c - c < Vec::lanes ? l.c - c : Vec::lanes});
    else
      over_lanes(l.c, step);
  }
}

template <int taps>
void backward(const MaxPoolLine& l, const float* dy, const uint8_t* index, float* dx) {
  for (int64_t o = 0; o < l.outputs; ++o, dx += 2 * l.ldx, dy += l.ldy, index += l.c)
    over_lanes(l.c, [&](int64_t c, auto how) {
      const Vec::T gradient = how.load(dy + c);
      const Vec::Bytes winner = Vec::load(index + c, how.n);
      LGMS_UNROLL
      for (int tap = 0; tap < taps; ++tap)
        how.store(dx + l.offset[tap] + c, Vec::keep(Vec::equal(winner, Vec::bytes(tap)), gradient));
    });
}

}  // namespace

namespace lgms::kernels {

void LGMS_ROW(max_pool_forward)(const MaxPoolLine& l, const float* x, float* y, uint8_t* index) {
  l.taps == 4 ? forward<4>(l, x, y, index) : forward<8>(l, x, y, index);
}

void LGMS_ROW(max_pool_backward)(const MaxPoolLine& l, const float* dy, const uint8_t* index, float* dx) {
  l.taps == 4 ? backward<4>(l, dy, index, dx) : backward<8>(l, dy, index, dx);
}

}  // namespace lgms::kernels
