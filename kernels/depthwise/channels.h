#pragma once
// The tuned kernels for k = 1 and 3, for any vector type V: every file that includes this gets its own (unnamed
// namespace), compiled for its own instruction set. From the reference to here, 64x64, C = 16, k = 3, one thread of a
// Sapphire Rapids core that others shared:
// 1. Lanes are channels, weights stay in registers, rows outside the image are a row of zeros that is read with step 0.
//    Nine loads per pixel, AVX-512: 224 us -> 15.9 us.
// 2. A step takes a column of three pixels of x, loads each once, and does the nine multiply-adds that it is part of:
//    forward adds to three neighbouring pixels of y, the weight gradient multiplies with three of dy. AVX-512 8.6 us
//    (138 GFLOP/s). Nine weights or sums, three of those and three of x fit into the sixteen registers of AVX2: 30.7 us
//    -> 17.3 us. (A window of nine pixels that slides along the row does not: 10.7 and 36.7 us.)
//
// V::v is a vector of V::L floats with broadcast, fma and add; load<full> and store<full> take the number of channels
// that are left where there are fewer than V::L of them, and touch no more.
#include "kernels/depthwise/depthwise.h"

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

// One row of y, V::L of its channels from c on, of the kernel's slice dz; y is overwritten by the first slice.
template <class V, bool full>
void forward_row3(const Dims& d, int64_t row, int64_t dz, bool overwrite, int64_t c, const float* x,
                  const float* weight, const float* bias, float* y) {
  const int64_t n = d.c - c;
  typename V::v w[9];
#pragma GCC unroll 9
  for (int t = 0; t < 9; ++t) w[t] = V::template load<full>(weight + t * d.c + c, n);
  const typename V::v start = bias ? V::template load<full>(bias + c, n) : V::broadcast(0);
  y += row * d.w * d.ldy + c;
  Rows rows(d, row, dz, c, x);
  const auto begin = [&](int64_t i) {
    return overwrite || i >= d.w ? start : V::template load<full>(y + i * d.ldy, n);
  };
  typename V::v left = start, middle = begin(0);  // of y: pixels i - 1 and i
  for (int64_t i = 0; i < d.w; ++i) {
    typename V::v right = begin(i + 1);
#pragma GCC unroll 3
    for (int r = 0; r < 3; ++r) {
      const typename V::v column = V::template load<full>(rows.at[r], n);
      rows.at[r] += rows.step[r];
      left = V::fma(column, w[r * 3 + 2], left);
      middle = V::fma(column, w[r * 3 + 1], middle);
      right = V::fma(column, w[r * 3], right);
    }
    if (i > 0) V::template store<full>(y + (i - 1) * d.ldy, left, n);
    left = middle;
    middle = right;
  }
  if (d.w > 0) V::template store<full>(y + (d.w - 1) * d.ldy, left, n);
}

template <class V, bool full>
void forward_row1(const Dims& d, int64_t row, int64_t c, const float* x, const float* weight, const float* bias,
                  float* y) {
  const int64_t n = d.c - c;
  const typename V::v w = V::template load<full>(weight + c, n);
  const typename V::v start = bias ? V::template load<full>(bias + c, n) : V::broadcast(0);
  x += row * d.w * d.ldx + c;
  y += row * d.w * d.ldy + c;
  for (int64_t i = 0; i < d.w; ++i)
    V::template store<full>(y + i * d.ldy, V::fma(V::template load<full>(x + i * d.ldx, n), w, start), n);
}

template <class V, bool full>
void forward_row(const Dims& d, int64_t row, int64_t c, const float* x, const float* weight, const float* bias,
                 float* y) {
  if (d.kw == 1) return forward_row1<V, full>(d, row, c, x, weight, bias, y);
  const int64_t z = row / d.h % d.d, pz = d.kd / 2;
  bool overwrite = true;
  for (int64_t dz = -pz; dz <= pz; ++dz) {
    if (z + dz < 0 || z + dz >= d.d) continue;
    forward_row3<V, full>(d, row, dz, overwrite, c, x, weight + (dz + pz) * 9 * d.c, bias, y);
    overwrite = false;
  }
}

template <class V>
void forward(const Dims& d, int64_t first, int64_t last, const float* x, const float* weight, const float* bias,
             float* y) {
  for (int64_t row = first; row < last; ++row) {
    int64_t c = 0;
    for (; c + V::L <= d.c; c += V::L) forward_row<V, true>(d, row, c, x, weight, bias, y);
    if (c < d.c) forward_row<V, false>(d, row, c, x, weight, bias, y);
  }
}

// dweight[t] += dy times the pixel under tap t of the kernel's slice dz, dbias (unless null) += dy, over one row.
template <class V, bool full>
void weight_gradient_row3(const Dims& d, int64_t row, int64_t dz, int64_t c, const float* x, const float* dy,
                          float* dweight, float* dbias) {
  const int64_t n = d.c - c;
  typename V::v sum[9], total = V::broadcast(0);
#pragma GCC unroll 9
  for (int t = 0; t < 9; ++t) sum[t] = V::template load<full>(dweight + t * d.c + c, n);
  dy += row * d.w * d.ldy + c;
  Rows rows(d, row, dz, c, x);
  typename V::v left = total, middle = d.w > 0 ? V::template load<full>(dy, n) : total;  // of dy: pixels i - 1 and i
  for (int64_t i = 0; i < d.w; ++i) {
    const typename V::v right = i + 1 < d.w ? V::template load<full>(dy + (i + 1) * d.ldy, n) : V::broadcast(0);
#pragma GCC unroll 3
    for (int r = 0; r < 3; ++r) {
      const typename V::v column = V::template load<full>(rows.at[r], n);
      rows.at[r] += rows.step[r];
      sum[r * 3] = V::fma(column, right, sum[r * 3]);
      sum[r * 3 + 1] = V::fma(column, middle, sum[r * 3 + 1]);
      sum[r * 3 + 2] = V::fma(column, left, sum[r * 3 + 2]);
    }
    total = V::add(total, middle);
    left = middle;
    middle = right;
  }
#pragma GCC unroll 9
  for (int t = 0; t < 9; ++t) V::template store<full>(dweight + t * d.c + c, sum[t], n);
  if (dbias) V::template store<full>(dbias + c, V::add(V::template load<full>(dbias + c, n), total), n);
}

template <class V, bool full>
void weight_gradient_row1(const Dims& d, int64_t row, int64_t c, const float* x, const float* dy, float* dweight,
                          float* dbias) {
  const int64_t n = d.c - c;
  typename V::v sum = V::template load<full>(dweight + c, n), total = V::template load<full>(dbias + c, n);
  for (int64_t p = row * d.w; p < (row + 1) * d.w; ++p) {
    const typename V::v g = V::template load<full>(dy + p * d.ldy + c, n);
    sum = V::fma(V::template load<full>(x + p * d.ldx + c, n), g, sum);
    total = V::add(total, g);
  }
  V::template store<full>(dweight + c, sum, n);
  V::template store<full>(dbias + c, total, n);
}

template <class V, bool full>
void weight_gradient_row(const Dims& d, int64_t row, int64_t c, const float* x, const float* dy, float* dweight,
                         float* dbias) {
  if (d.kw == 1) return weight_gradient_row1<V, full>(d, row, c, x, dy, dweight, dbias);
  const int64_t z = row / d.h % d.d, pz = d.kd / 2;
  for (int64_t dz = -pz; dz <= pz; ++dz)
    if (z + dz >= 0 && z + dz < d.d)
      weight_gradient_row3<V, full>(d, row, dz, c, x, dy, dweight + (dz + pz) * 9 * d.c, dz == 0 ? dbias : nullptr);
}

template <class V>
void weight_gradient(const Dims& d, int64_t first, int64_t last, const float* x, const float* dy, float* partial) {
  float* dbias = partial + d.kd * d.kh * d.kw * d.c;
  for (float* p = partial; p < dbias + d.c; ++p) *p = 0;
  for (int64_t row = first; row < last; ++row) {
    int64_t c = 0;
    for (; c + V::L <= d.c; c += V::L) weight_gradient_row<V, true>(d, row, c, x, dy, partial, dbias);
    if (c < d.c) weight_gradient_row<V, false>(d, row, c, x, dy, partial, dbias);
  }
}

}  // namespace
}  // namespace lgms::kernels
