#pragma once
// The matrix product of 1x1 convolutions over the Vec of the file that includes this.
#include "kernels/convolution/forward/direct.h"
#include "kernels/simd/lanes.h"

namespace {

using lgms::kernels::ConvolutionDims;

// PX pixels of OV vectors of outputs.
template <int PX, int OV>
[[gnu::noinline]] void products(const ConvolutionDims& d, const float* x, const float* weights, const float* bias,
                                long live, float* y) {
  const long cin = d.cin / d.groups, vector = cin * Vec::lanes, ldx = d.ldx;
  Vec::T sum[PX][OV];
  LGMS_UNROLL
  for (int o = 0; o < OV; ++o) {
    const long n = live - o * Vec::lanes;
    const Vec::T start = bias ? Vec::load(bias + o * Vec::lanes, n < Vec::lanes ? n : Vec::lanes) : Vec::zero();
    LGMS_UNROLL
    for (int p = 0; p < PX; ++p) sum[p][o] = start;
  }
  for (long i = 0; i < cin; ++i, weights += Vec::lanes) {
    Vec::T w[OV];
    LGMS_UNROLL
    for (int o = 0; o < OV; ++o) w[o] = Vec::load(weights + o * vector);
    LGMS_UNROLL
    for (int p = 0; p < PX; ++p) {
      const Vec::T in = Vec::set1(x[p * ldx + i]);
      LGMS_UNROLL
      for (int o = 0; o < OV; ++o) sum[p][o] = Vec::fma(in, w[o], sum[p][o]);
    }
  }
  LGMS_UNROLL
  for (int p = 0; p < PX; ++p) LGMS_UNROLL
  for (int o = 0; o < OV; ++o) {
    const long n = live - o * Vec::lanes;
    if (n >= Vec::lanes)
      Vec::store(y + p * d.ldy + o * Vec::lanes, sum[p][o]);
    else
      Vec::store(y + p * d.ldy + o * Vec::lanes, sum[p][o], n);
  }
}

// Tiles of so many vectors: of `pixels` pixels, and of one for the last few.
struct Width {
  long vectors, pixels;
  decltype(&products<1, 1>) many, one;
};

// By falling number of vectors; of so many sums, and at most 12 pixels.
template <int sums, int... vectors>
struct Widths {
  static constexpr int pixels(int of) { return sums / of < 12 ? sums / of : 12; }
  static constexpr Width all[] = {
      {vectors, pixels(vectors), products<pixels(vectors), vectors>, products<1, vectors>}...};
};
using Tiles = ByLanes<Widths<24, 4, 2, 1>, Widths<12, 2, 1>, Widths<8, 2, 1>>;

// The widest tiles that `vectors` vectors hold.
const Width& width_of(long vectors) {
  const Width* width = Tiles::all;
  while (width->vectors > vectors) ++width;
  return *width;
}

// One width of outputs of `pixels` pixels.
void multiply(const Width& width, const ConvolutionDims& d, long pixels, const float* x, const float* weights,
              const float* bias, long live, float* y) {
  for (long p = 0; p < pixels;) {
    const bool many = pixels - p >= width.pixels;
    (many ? width.many : width.one)(d, x + p * d.ldx, weights, bias, live, y + p * d.ldy);
    p += many ? width.pixels : 1;
  }
}

}  // namespace
