#pragma once
// Products in bfloat16 over the Vec and the instructions of the file that includes this (simd/avx512bf16.h).
#include "kernels/convolution/forward/bf16.h"

namespace {

using lgms::kernels::kBf16Depth;
using lgms::kernels::kBf16Outputs;
using lgms::kernels::kBf16Pixels;

// `numbers` floats, rounded.
void narrow(const float* from, long numbers, Bf16* to) {
  long i = 0;
  for (; i + Vec::lanes <= numbers; i += Vec::lanes) Bf16Pairs::narrow(to + i, Vec::load(from + i));
  if (i < numbers) Bf16Pairs::narrow(to + i, Vec::load(from + i, numbers - i), numbers - i);
}

// c channels of `pixels` pixels, ldx apart, side by side.
void narrow(const float* x, long ldx, long c, long pixels, Bf16* to) {
  if (c == ldx) return narrow(x, pixels * c, to);
  for (long p = 0; p < pixels; ++p) narrow(x + p * ldx, c, to + p * c);
}

// A block of sums: which numbers of a strip, by which weights.
struct Product {
  const Bf16* strip;    // the first pixel's first run
  const Bf16* weights;  // of the first vector of outputs
  long cin, run;        // numbers from pixel to pixel; of a run
  long kd, kh, pieces;  // the strip's rows that are summed over; pieces of a run
  long row, plane;      // numbers from row to row, from plane to plane
  long vector;          // numbers from one vector's weights to the next one's
};

// PX pixels of OV vectors of outputs; `pixels` of them are stored.
template <int PX, int OV>
[[gnu::noinline]] void pairs(const Product& of, const float* bias, long pixels, long live, float* y, long ldy) {
  Vec::T sum[PX][OV];
  LGMS_UNROLL
  for (int p = 0; p < PX; ++p) LGMS_UNROLL
  for (int o = 0; o < OV; ++o) sum[p][o] = Vec::load(bias + o * Vec::lanes);
  const Bf16* weights = of.weights;
  for (long kz = 0; kz < of.kd; ++kz)
    for (long ky = 0; ky < of.kh; ++ky, weights += of.pieces * kBf16Depth * kBf16Outputs) {
      const Bf16* const run = of.strip + kz * of.plane + ky * of.row;
      const Bf16* w = weights;
      for (long i = 0; i < of.run; i += 2, w += 2 * kBf16Outputs) {
        Bf16Pairs::T by[OV];
        LGMS_UNROLL
        for (int o = 0; o < OV; ++o) by[o] = Bf16Pairs::load(w + o * of.vector);
        LGMS_UNROLL
        for (int p = 0; p < PX; ++p) {
          const Bf16Pairs::T in = Bf16Pairs::set1(run + p * of.cin + i);
          LGMS_UNROLL
          for (int o = 0; o < OV; ++o) sum[p][o] = Bf16Pairs::dot(sum[p][o], in, by[o]);
        }
      }
    }
  LGMS_UNROLL
  for (int p = 0; p < PX; ++p)
    if (p < pixels) {
      LGMS_UNROLL
      for (int o = 0; o < OV; ++o) {
        const long n = live - o * Vec::lanes;
        if (n >= Vec::lanes)
          Vec::store(y + p * ldy + o * Vec::lanes, sum[p][o]);
        else
          Vec::store(y + p * ldy + o * Vec::lanes, sum[p][o], n);
      }
    }
}

// By dot products of pairs: pixels' pairs broadcast, pairs of 16 outputs in a register.
struct ByPairs {
  static void begin() {}
  static void end() {}
  // Up to kBf16Pixels pixels of up to two vectors of outputs, begun with bias (of both vectors), stored ldy apart.
  static void multiply(const Product& product, const float* bias, long pixels, long live, float* y, long ldy) {
    const bool two = live > Vec::lanes;
    const long step = two ? 8 : 16;
    Product of = product;
    for (long p = 0; p < pixels; p += step, of.strip += step * of.cin)
      (two ? pairs<8, 2> : pairs<16, 1>)(of, bias, pixels - p, live, y + p * ldy, ldy);
  }
};

// Tiles: sums of pixels p and outputs o in 2 p + o, pixels in 4 + p, weights in 6 + o.
template <int PT, int OT>
[[gnu::noinline]] void tiles(const Product& of, const float* bias, long pixels, long live, float* y, long ldy) {
  constexpr long rows = 16, bytes = sizeof(float);
  const auto over_sums = [](const auto& f) {
    f.template operator()<0, 0>();
    if constexpr (OT == 2) f.template operator()<0, 1>();
    if constexpr (PT == 2) f.template operator()<1, 0>();
    if constexpr (PT == 2 && OT == 2) f.template operator()<1, 1>();
  };
  over_sums([&]<int p, int o> { Bf16Tiles::load<2 * p + o>(bias + o * kBf16Outputs, 0); });  // every row
  const Bf16* w = of.weights;
  for (long kz = 0; kz < of.kd; ++kz)
    for (long ky = 0; ky < of.kh; ++ky) {
      const Bf16* run = of.strip + kz * of.plane + ky * of.row;
      for (long i = 0; i < of.pieces; ++i, run += kBf16Depth, w += kBf16Depth * kBf16Outputs) {
        Bf16Tiles::load<4>(run, of.cin * 2);
        Bf16Tiles::load<6>(w, 64);
        if constexpr (PT == 2) Bf16Tiles::load<5>(run + rows * of.cin, of.cin * 2);
        if constexpr (OT == 2) Bf16Tiles::load<7>(w + of.vector, 64);
        over_sums([&]<int p, int o> { Bf16Tiles::dot<2 * p + o, 4 + p, 6 + o>(); });
      }
    }
  over_sums([&]<int p, int o> {
    const long n = pixels - p * rows, m = live - o * kBf16Outputs;
    float* const to = y + p * rows * ldy + o * kBf16Outputs;
    if (n >= rows && m >= kBf16Outputs) return Bf16Tiles::store<2 * p + o>(to, ldy * bytes);
    alignas(64) float part[rows * kBf16Outputs];
    Bf16Tiles::store<2 * p + o>(part, kBf16Outputs * bytes);
    for (long q = 0; q < rows && q < n; ++q) {
      const Vec::T v = Vec::load(part + q * kBf16Outputs);
      if (m >= kBf16Outputs)
        Vec::store(to + q * ldy, v);
      else
        Vec::store(to + q * ldy, v, m);
    }
  });
}

// By tiles of 16 pixels x 32 numbers and 32 numbers x 16 outputs. begin and end around all calls of a thread.
struct ByTiles {
  static void begin() { Bf16Tiles::begin(); }
  static void end() { Bf16Tiles::end(); }
  static void multiply(const Product& of, const float* bias, long pixels, long live, float* y, long ldy) {
    const bool wide = live > kBf16Outputs;
    if (pixels > 16)
      (wide ? tiles<2, 2> : tiles<2, 1>)(of, bias, pixels, live, y, ldy);
    else
      (wide ? tiles<1, 2> : tiles<1, 1>)(of, bias, pixels, live, y, ldy);
  }
};

}  // namespace
