#pragma once
// The tuned kernels for k = 1 and 3, for any vector type V: every file that includes this gets its own (unnamed
// namespace), compiled for its own instruction set. Lanes are channels; a window slides along a row of the image with
// its nine pixels in registers, so that each pixel is loaded once per row of the window.
//
// V::v is a vector of V::L floats with broadcast, fma and add; load and store take the number of channels that are left
// and touch no more.
#include "kernels/depthwise/depthwise.h"

namespace lgms::kernels {
namespace {

using Dims = DepthwiseDims;

alignas(64) constexpr float kZeros[16] = {};

// The pixels of three rows of x around a pixel of y: row r, column e (left, middle, right) at x[r][e]. Rows outside the
// image are read from kZeros, again and again.
template <class V>
struct Window {
  using v = typename V::v;
  v x[3][3];
  const float* next[3];
  int64_t step[3];
  int64_t columns, channels;  // columns that are left to load

  Window(const Dims& d, int64_t row, int64_t dz, int64_t c, const float* image) : columns(d.w), channels(d.c - c) {
    const int64_t y = row % d.h, z = row / d.h % d.d;
    for (int64_t r = 0; r < 3; ++r) {
      const bool inside = y + r - 1 >= 0 && y + r - 1 < d.h && z + dz >= 0 && z + dz < d.d;
      next[r] = inside ? image + (row + dz * d.h + r - 1) * d.w * d.ldx + c : kZeros;
      step[r] = inside ? d.ldx : 0;
      x[r][1] = V::broadcast(0);
      x[r][2] = V::load(next[r], channels);
    }
  }
  void advance() {
    const bool inside = --columns > 0;
#pragma GCC unroll 3
    for (int r = 0; r < 3; ++r) {
      x[r][0] = x[r][1];
      x[r][1] = x[r][2];
      next[r] += step[r];
      x[r][2] = inside ? V::load(next[r], channels) : V::broadcast(0);
    }
  }
};

// One row of y, V::L of its channels from c on, of the kernel's slice dz; y is overwritten by the first slice.
template <class V>
void forward_row3(const Dims& d, int64_t row, int64_t dz, bool overwrite, int64_t c, const float* x,
                  const float* weight, const float* bias, float* y) {
  typename V::v w[9];
  for (int t = 0; t < 9; ++t) w[t] = V::load(weight + t * d.c + c, d.c - c);
  const typename V::v start = bias ? V::load(bias + c, d.c - c) : V::broadcast(0);
  Window<V> window(d, row, dz, c, x);
  float* out = y + row * d.w * d.ldy + c;
  for (int64_t i = 0; i < d.w; ++i, out += d.ldy) {
    window.advance();
    typename V::v sum = overwrite ? start : V::load(out, d.c - c);
#pragma GCC unroll 9
    for (int t = 0; t < 9; ++t) sum = V::fma(window.x[t / 3][t % 3], w[t], sum);
    V::store(out, sum, d.c - c);
  }
}

template <class V>
void forward_row1(const Dims& d, int64_t row, int64_t c, const float* x, const float* weight, const float* bias,
                  float* y) {
  const typename V::v w = V::load(weight + c, d.c - c);
  const typename V::v start = bias ? V::load(bias + c, d.c - c) : V::broadcast(0);
  for (int64_t p = row * d.w; p < (row + 1) * d.w; ++p)
    V::store(y + p * d.ldy + c, V::fma(V::load(x + p * d.ldx + c, d.c - c), w, start), d.c - c);
}

template <class V>
void forward(const Dims& d, int64_t first, int64_t last, const float* x, const float* weight, const float* bias,
             float* y) {
  const int64_t pz = d.kd / 2;
  for (int64_t row = first; row < last; ++row)
    for (int64_t c = 0; c < d.c; c += V::L) {
      if (d.kw == 1) {
        forward_row1<V>(d, row, c, x, weight, bias, y);
        continue;
      }
      bool overwrite = true;
      for (int64_t dz = -pz; dz <= pz; ++dz) {
        const int64_t z = row / d.h % d.d + dz;
        if (z < 0 || z >= d.d) continue;
        forward_row3<V>(d, row, dz, overwrite, c, x, weight + (dz + pz) * 9 * d.c, bias, y);
        overwrite = false;
      }
    }
}

// dweight[t] += dy times the pixel under tap t of the kernel's slice dz, dbias (unless null) += dy, over one row.
template <class V>
void weight_gradient_row3(const Dims& d, int64_t row, int64_t dz, int64_t c, const float* x, const float* dy,
                          float* dweight, float* dbias) {
  typename V::v sum[9], total = V::broadcast(0);
#pragma GCC unroll 9
  for (int t = 0; t < 9; ++t) sum[t] = V::load(dweight + t * d.c + c, d.c - c);
  Window<V> window(d, row, dz, c, x);
  dy += row * d.w * d.ldy + c;
  for (int64_t i = 0; i < d.w; ++i, dy += d.ldy) {
    window.advance();
    const typename V::v g = V::load(dy, d.c - c);
    total = V::add(total, g);
#pragma GCC unroll 9
    for (int t = 0; t < 9; ++t) sum[t] = V::fma(window.x[t / 3][t % 3], g, sum[t]);
  }
#pragma GCC unroll 9
  for (int t = 0; t < 9; ++t) V::store(dweight + t * d.c + c, sum[t], d.c - c);
  if (dbias) V::store(dbias + c, V::add(V::load(dbias + c, d.c - c), total), d.c - c);
}

template <class V>
void weight_gradient_row1(const Dims& d, int64_t row, int64_t c, const float* x, const float* dy, float* dweight,
                          float* dbias) {
  typename V::v sum = V::load(dweight + c, d.c - c), total = V::load(dbias + c, d.c - c);
  for (int64_t p = row * d.w; p < (row + 1) * d.w; ++p) {
    const typename V::v g = V::load(dy + p * d.ldy + c, d.c - c);
    sum = V::fma(V::load(x + p * d.ldx + c, d.c - c), g, sum);
    total = V::add(total, g);
  }
  V::store(dweight + c, sum, d.c - c);
  V::store(dbias + c, total, d.c - c);
}

template <class V>
void weight_gradient(const Dims& d, int64_t first, int64_t last, const float* x, const float* dy, float* partial) {
  const int64_t pz = d.kd / 2, taps = d.kd * d.kh * d.kw;
  float* dbias = partial + taps * d.c;
  for (int64_t i = 0; i < (taps + 1) * d.c; ++i) partial[i] = 0;
  for (int64_t row = first; row < last; ++row)
    for (int64_t c = 0; c < d.c; c += V::L) {
      if (d.kw == 1) weight_gradient_row1<V>(d, row, c, x, dy, partial, dbias);
      for (int64_t dz = -pz; dz <= pz && d.kw == 3; ++dz) {
        const int64_t z = row / d.h % d.d + dz;
        if (z < 0 || z >= d.d) continue;
        weight_gradient_row3<V>(d, row, dz, c, x, dy, partial + (dz + pz) * 9 * d.c, dz == 0 ? dbias : nullptr);
      }
    }
}

}  // namespace
}  // namespace lgms::kernels
