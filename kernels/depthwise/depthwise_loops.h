#pragma once
// The tuned kernels for k = 1 and 3 over the Vec of the file that includes this. From the reference to here, 64x64, C =
// 16, k = 3, one thread of a Sapphire Rapids core that others shared:
// 1. Lanes are channels, weights stay in registers, rows outside the image are a row of zeros that is read with step 0.
//    Nine loads per pixel, AVX-512: 224 us -> 15.9 us.
// 2. A step takes a column of three pixels of x, loads each once, and does the nine multiply-adds that it is part of:
//    forward adds to three neighbouring pixels of y, the weight gradient multiplies with three of dy. AVX-512 8.6 us
//    (138 GFLOP/s). Nine weights or sums, three of those and three of x fit into the sixteen registers of AVX2: 30.7 us
//    -> 17.3 us. (A window of nine pixels that slides along the row does not: 10.7 and 36.7 us.)
#include "kernels/activation/finish.h"
#include "kernels/depthwise/depthwise.h"
#include "kernels/simd/lanes.h"

namespace lgms::kernels {
namespace {

using Dims = DepthwiseDims;

alignas(64) constexpr float kZeros[16] = {};

// Three rows of x around a row of y, in slice dz of the kernel: pixel i of row r is at[r] + i * step[r]. Rows outside
// the image are read from kZeros, again and again.
struct Rows {
  const float* at[3];
  int64_t step[3];

  Rows(const Dims& d, int64_t row, int64_t dz, int64_t c, const float* x) {
    for (int64_t r = 0; r < 3; ++r) {
      const int64_t y = row % d.h + r - 1;
      const bool inside = y >= 0 && y < d.h;
      at[r] = inside ? x + (row + dz * d.h + r - 1) * d.w * d.ldx + c : kZeros;
      step[r] = inside ? d.ldx : 0;
    }
  }
};

// One row of y, a vector of its channels from c on, of the kernel's slice dz; y is overwritten by the first slice.
template <class How>
[[gnu::noinline]] void forward_row3(How how, const Dims& d, int64_t row, int64_t dz, bool overwrite, int64_t c,
                                    const float* x, const float* weight, const float* bias, float* y) {
  Vec::T w[9];
  LGMS_UNROLL
  for (int t = 0; t < 9; ++t) w[t] = how.load(weight + t * d.c + c);
  const Vec::T start = bias ? how.load(bias + c) : Vec::zero();
  y += row * d.w * d.ldy + c;
  Rows rows(d, row, dz, c, x);
  const auto begin = [&](int64_t i) { return overwrite || i >= d.w ? start : how.load(y + i * d.ldy); };
  Vec::T left = start, middle = begin(0);  // of y: pixels i - 1 and i
  for (int64_t i = 0; i < d.w; ++i) {
    Vec::T right = begin(i + 1);
    LGMS_UNROLL
    for (int r = 0; r < 3; ++r) {
      const Vec::T column = how.load(rows.at[r]);
      rows.at[r] += rows.step[r];
      left = Vec::fma(column, w[r * 3 + 2], left);
      middle = Vec::fma(column, w[r * 3 + 1], middle);
      right = Vec::fma(column, w[r * 3], right);
    }
    if (i > 0) how.store(y + (i - 1) * d.ldy, left);
    left = middle;
    middle = right;
  }
  if (d.w > 0) how.store(y + (d.w - 1) * d.ldy, left);
}

template <class How>
void forward_row1(How how, const Dims& d, int64_t row, int64_t c, const float* x, const float* weight,
                  const float* bias, float* y) {
  const Vec::T w = how.load(weight + c);
  const Vec::T start = bias ? how.load(bias + c) : Vec::zero();
  x += row * d.w * d.ldx + c;
  y += row * d.w * d.ldy + c;
  for (int64_t i = 0; i < d.w; ++i) how.store(y + i * d.ldy, Vec::fma(how.load(x + i * d.ldx), w, start));
}

template <class How>
void forward_row(How how, const Dims& d, int64_t row, int64_t c, const float* x, const float* weight, const float* bias,
                 float* y) {
  if (d.kw == 1) return forward_row1(how, d, row, c, x, weight, bias, y);
  const int64_t z = row / d.h % d.d, pz = d.kd / 2;
  bool overwrite = true;
  for (int64_t dz = -pz; dz <= pz; ++dz) {
    if (z + dz < 0 || z + dz >= d.d) continue;
    forward_row3(how, d, row, dz, overwrite, c, x, weight + (dz + pz) * 9 * d.c, bias, y);
    overwrite = false;
  }
}

void forward(const Dims& d, int64_t first, int64_t last, const float* x, const float* weight,
             const StridedEpilogue& epilogue, float* y) {
  const bool more = finishes(epilogue);
  for (int64_t row = first; row < last; ++row)
    over_lanes(d.c, [&](int64_t c, auto how) {
      forward_row(how, d, row, c, x, weight, epilogue.bias.data, y);
      if (more) finish(epilogue, c, how.n, row * d.w, d.w, y + row * d.w * d.ldy + c, d.ldy);
    });
}

// dweight[t] += dy times the pixel under tap t of the kernel's slice dz, dbias (unless null) += dy, over one row.
template <class How>
[[gnu::noinline]] void weight_gradient_row3(How how, const Dims& d, int64_t row, int64_t dz, int64_t c, const float* x,
                                            const float* dy, float* dweight, float* dbias) {
  Vec::T sum[9], total = Vec::zero();
  LGMS_UNROLL
  for (int t = 0; t < 9; ++t) sum[t] = how.load(dweight + t * d.c + c);
  dy += row * d.w * d.ldy + c;
  Rows rows(d, row, dz, c, x);
  Vec::T left = total, middle = d.w > 0 ? how.load(dy) : total;  // of dy: pixels i - 1 and i
  for (int64_t i = 0; i < d.w; ++i) {
    const Vec::T right = i + 1 < d.w ? how.load(dy + (i + 1) * d.ldy) : Vec::zero();
    LGMS_UNROLL
    for (int r = 0; r < 3; ++r) {
      const Vec::T column = how.load(rows.at[r]);
      rows.at[r] += rows.step[r];
      sum[r * 3] = Vec::fma(column, right, sum[r * 3]);
      sum[r * 3 + 1] = Vec::fma(column, middle, sum[r * 3 + 1]);
      sum[r * 3 + 2] = Vec::fma(column, left, sum[r * 3 + 2]);
    }
    total = Vec::add(total, middle);
    left = middle;
    middle = right;
  }
  LGMS_UNROLL
  for (int t = 0; t < 9; ++t) how.store(dweight + t * d.c + c, sum[t]);
  if (dbias) how.store(dbias + c, Vec::add(how.load(dbias + c), total));
}

template <class How>
void weight_gradient_row1(How how, const Dims& d, int64_t row, int64_t c, const float* x, const float* dy,
                          float* dweight, float* dbias) {
  Vec::T sum = how.load(dweight + c), total = how.load(dbias + c);
  for (int64_t p = row * d.w; p < (row + 1) * d.w; ++p) {
    const Vec::T g = how.load(dy + p * d.ldy + c);
    sum = Vec::fma(how.load(x + p * d.ldx + c), g, sum);
    total = Vec::add(total, g);
  }
  how.store(dweight + c, sum);
  how.store(dbias + c, total);
}

template <class How>
void weight_gradient_row(How how, const Dims& d, int64_t row, int64_t c, const float* x, const float* dy,
                         float* dweight, float* dbias) {
  if (d.kw == 1) return weight_gradient_row1(how, d, row, c, x, dy, dweight, dbias);
  const int64_t z = row / d.h % d.d, pz = d.kd / 2;
  for (int64_t dz = -pz; dz <= pz; ++dz)
    if (z + dz >= 0 && z + dz < d.d)
      weight_gradient_row3(how, d, row, dz, c, x, dy, dweight + (dz + pz) * 9 * d.c, dz == 0 ? dbias : nullptr);
}

void weight_gradient(const Dims& d, int64_t first, int64_t last, const float* x, const float* dy, float* partial) {
  float* dbias = partial + d.kd * d.kh * d.kw * d.c;
  for (float* p = partial; p < dbias + d.c; ++p) *p = 0;
  for (int64_t row = first; row < last; ++row)
    over_lanes(d.c, [&](int64_t c, auto how) { weight_gradient_row(how, d, row, c, x, dy, partial, dbias); });
}

}  // namespace

void LGMS_ROW(depthwise_forward)(const Dims& d, int64_t first, int64_t last, const float* x, const float* weight,
                                 const Epilogue<Strided<float>>& epilogue, float* y) {
  forward(d, first, last, x, weight, epilogue, y);
}

void LGMS_ROW(depthwise_weight_gradient)(const Dims& d, int64_t first, int64_t last, const float* x, const float* dy,
                                         float* partial) {
  weight_gradient(d, first, last, x, dy, partial);
}

}  // namespace lgms::kernels
