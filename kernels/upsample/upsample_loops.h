#pragma once
// Both passes over the Vec of the file that includes this: vectors of channels walk along the line, with the blends
// that the next pixel needs again in registers.
#include "kernels/simd/lanes.h"
#include "kernels/upsample/line.h"

namespace {

using lgms::kernels::UpsampleLine;

template <int taps, class How>
LGMS_INLINE Vec::T blend(const UpsampleLine& l, const float* from, How how) {
  Vec::T sum = Vec::mul(Vec::set1(l.weight[0]), how.load(from + l.offset[0]));
  LGMS_UNROLL
  for (int k = 1; k < taps; ++k) sum = Vec::fma(Vec::set1(l.weight[k]), how.load(from + l.offset[k]), sum);
  return sum;
}

// 3/4 a + 1/4 b
LGMS_INLINE Vec::T mix(Vec::T a, Vec::T b) { return Vec::fma(Vec::set1(0.75f), a, Vec::mul(Vec::set1(0.25f), b)); }

template <int taps, class How>
void forward(const UpsampleLine& l, const float* x, float* y, How how) {
  Vec::T here = blend<taps>(l, x, how), left = here;
  for (int64_t j = 0; j < l.w; ++j, y += 2 * l.ldy) {
    const Vec::T right = j + 1 < l.w ? blend<taps>(l, x + (j + 1) * l.ldx, how) : here;
    how.store(y, mix(here, left));
    how.store(y + l.ldy, mix(here, right));
    left = here;
    here = right;
  }
}

template <int taps, class How>
void backward(const UpsampleLine& l, const float* dy, float* dx, How how) {
  Vec::T even = blend<taps>(l, dy, how), left = even;
  for (int64_t j = 0; j < l.w; ++j, dx += l.ldx) {
    const Vec::T odd = blend<taps>(l, dy + (2 * j + 1) * l.ldy, how);
    const Vec::T right = j + 1 < l.w ? blend<taps>(l, dy + (2 * j + 2) * l.ldy, how) : odd;
    how.store(dx, mix(Vec::add(even, odd), Vec::add(left, right)));
    left = odd;
    even = right;
  }
}

}  // namespace

namespace lgms::kernels {

void LGMS_ROW(upsample_forward)(const UpsampleLine& l, const float* x, float* y) {
  over_lanes(l.c, [&](int64_t c, auto how) {
    l.taps == 2 ? forward<2>(l, x + c, y + c, how) : forward<4>(l, x + c, y + c, how);
  });
}

void LGMS_ROW(upsample_backward)(const UpsampleLine& l, const float* dy, float* dx) {
  over_lanes(l.c, [&](int64_t c, auto how) {
    l.taps == 4 ? backward<4>(l, dy + c, dx + c, how) : backward<16>(l, dy + c, dx + c, how);
  });
}

}  // namespace lgms::kernels
