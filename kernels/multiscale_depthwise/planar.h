#pragma once
// The tuned kernels, for any vector type V: every file that includes this gets its own (unnamed namespace), compiled
// for its own instruction set. From the reference to here, one thread of a Sapphire Rapids core that others shared:
// 1. The channels of a strip of rows are transposed to zero-padded planes; lanes are pixels of a row, weights are
//    scalars, and one text serves k = 3 to 9 in 2D and 3D whatever the number of channels. A row of x, loaded once for
//    each kx, meets every row of a tile of y that it reaches; the sums of the tile stay in registers. 128x128, C = 16,
//    AVX-512: 47.5 ms -> 0.36 ms; a tile of k = 9 runs at 155 GFLOP/s, the whole with its transposes at 60.
// 2. 2D units hold all four quarters, so that every cache line of x and dy is moved once: 256x256, weight
//    gradient 1.2x.
// 3. The channels of a row lie together (a page per row, not per channel) an odd number of lines apart: 1.02x.
// 4. AVX2, k = 7 and 9: weights are loaded again for each row instead of being spilled: 1.2x.
// No gain: strips of 16 rows instead of 24 (48: 1.15x slower), larger bands of rows in the weight gradient.
//
// V::v is a vector of V::L floats with load, store, broadcast, fma, add, sum; V::gather reads V::L pixels of four
// channels into four vectors, V::scatter writes them back. A tile is V::R rows by two vectors; the weight gradient
// holds V::RW rows of dy in registers.
#include "kernels/multiscale_depthwise/multiscale_depthwise.h"

namespace lgms::kernels {
namespace {

using Dims = MultiscaleDepthwiseDims;
using Unit = MultiscaleDepthwiseUnit;

// Pixel 0 of a plane's row stands kMargin floats after its start; what is left and right of the image is 0.
constexpr int64_t kMargin = 16;

int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }
// k x k, or k x k x k.
int64_t taps_of(const Dims& d, int64_t q) {
  const int64_t k = 3 + 2 * q;
  return k * k * (d.volume ? k : 1);
}
int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// Rows [y0, y0 + rows) of slices [z0, z0 + slices) of the unit's channels of one quarter, [slice][row][channel][pixel]:
// the slices lie inside the image; rows that do not are 0. The channels of a row lie together, or each row would touch
// a memory page per channel; an odd number of cache lines from row to row spreads a window over all cache sets.
struct Planes {
  float* data;
  int64_t z0, slices, y0, rows, channel, row, slice;  // the last three: floats from one to the next

  Planes() = default;
  Planes(const Dims& d, int64_t channels, int64_t z_first, int64_t z_last, int64_t y_first, int64_t y_count,
         float* memory)
      : data(memory),
        z0(larger(z_first, 0)),
        slices(smaller(z_last, d.d) - z0),
        y0(y_first),
        rows(y_count),
        channel(round_up(d.w, 16) + 2 * kMargin),
        row((channels * channel / 16 | 1) * 16),
        slice(rows * row) {}
  int64_t size() const { return slices * slice; }
  // Pixel (z, y, 0), in coordinates of the image.
  float* at(int64_t c, int64_t z, int64_t y) const {
    return data + (z - z0) * slice + (y - y0) * row + c * channel + kMargin;
  }
};

template <class V>
void fetch_row(const float* x, int64_t ld, int64_t w, int64_t channels, float* row, int64_t to_next_channel) {
  const typename V::v zero = V::broadcast(0);
  for (int64_t c = 0; c < channels; ++c) {
    float* start = row + c * to_next_channel - kMargin;
    for (int64_t i = 0; i < kMargin; i += V::L) V::store(start + i, zero);
    for (int64_t i = (kMargin + (x ? w : 0)) / 16 * 16; i < to_next_channel; i += V::L) V::store(start + i, zero);
  }
  if (!x) return;
  int64_t i = 0;
  if (channels == 4)
    for (; i + V::L <= w; i += V::L) {
      typename V::v out[4];
      V::gather(x + i * ld, ld, out);
#pragma GCC unroll 4
      for (int c = 0; c < 4; ++c) V::store(row + c * to_next_channel + i, out[c]);
    }
  for (; i < w; ++i)
    for (int64_t c = 0; c < channels; ++c) row[c * to_next_channel + i] = x[i * ld + c];
}

// The planes of all quarters of the unit, a row of the image at a time, which is in the L1 cache for all of them.
template <class V>
void fetch(const Dims& d, const Unit& u, const float* x, int64_t ld, const Planes (&planes)[4]) {
  const Planes& most = planes[u.q1 - 1];  // the largest halo
  for (int64_t z = most.z0; z < most.z0 + most.slices; ++z)
    for (int64_t y = most.y0; y < most.y0 + most.rows; ++y)
      for (int64_t q = u.q0; q < u.q1; ++q) {
        const Planes& p = planes[q];
        if (z < p.z0 || z >= p.z0 + p.slices || y < p.y0 || y >= p.y0 + p.rows) continue;
        const bool inside = y >= 0 && y < d.h;
        const float* from = inside ? x + ((u.n * d.d + z) * d.h + y) * d.w * ld + q * (d.c / 4) + u.j : nullptr;
        fetch_row<V>(from, ld, d.w, u.channels, p.at(0, z, y), p.channel);
      }
}

// Lays out the planes of x (halo: of each quarter's kernel) or dy (no halo) for tiles of `step` rows; the memory that
// is left.
float* lay_out(const Dims& d, const Unit& u, bool halo, int64_t step, float* memory, Planes (&planes)[4]) {
  for (int64_t q = u.q0; q < u.q1; ++q) {
    const int64_t p = halo ? q + 1 : 0, pz = d.volume ? p : 0;
    planes[q] = Planes(d, u.channels, u.z0 - pz, u.z1 + pz, u.y0 - p, round_up(u.y1 - u.y0, step) + 2 * p, memory);
    memory += planes[q].size();
  }
  return memory;
}

// V::R rows by Q vectors of one plane. x: the top left of the window in the first of kd slices; weight [kd, K, K];
// residual: x under the first output, or null. out: rows of 2 * V::L floats.
template <class V, int K, int Q>
__attribute__((noinline)) void tile(const float* x, int64_t stride, int64_t slice, int64_t kd, const float* weight,
                                    float bias, const float* residual, float* out) {
  using v = typename V::v;
  constexpr int R = V::R, L = V::L;
  v sum[R][Q];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int q = 0; q < Q; ++q) sum[r][q] = V::broadcast(bias);
#pragma GCC unroll 1
  for (int64_t kz = 0; kz < kd; ++kz, x += slice, weight += K * K)
#pragma GCC unroll 1
    for (int kx = 0; kx < K; ++kx) {
#pragma GCC unroll 16
      for (int i = 0; i < R + K - 1; ++i) {  // a row of x, loaded once, meets every row of y that it reaches
        if constexpr (V::kFewRegisters && K >= 7) asm("" : "+r"(weight));  // else the K weights are kept, on the stack
        v in[Q];
#pragma GCC unroll 2
        for (int q = 0; q < Q; ++q) in[q] = V::load(x + i * stride + kx + q * L);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
          if (i - r >= 0 && i - r < K) {
            const v w = V::broadcast(weight[(i - r) * K + kx]);
#pragma GCC unroll 2
            for (int q = 0; q < Q; ++q) sum[r][q] = V::fma(in[q], w, sum[r][q]);
          }
      }
    }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int q = 0; q < Q; ++q) {
      if (residual) sum[r][q] = V::add(sum[r][q], V::load(residual + r * stride + q * L));
      V::store(out + (r * 2 + q) * L, sum[r][q]);
    }
}

// One row of a tile (of 2 * V::L floats per row), w of its pixels, back to channels-last.
template <class V>
void put_row(const float* tile, int64_t to_next_channel, int64_t channels, int64_t w, float* y, int64_t ld) {
  int64_t i = 0;
  if (channels == 4)
    for (; i + V::L <= w; i += V::L) {
      typename V::v in[4];
#pragma GCC unroll 4
      for (int c = 0; c < 4; ++c) in[c] = V::load(tile + c * to_next_channel + i);
      V::scatter(in, y + i * ld, ld);
    }
  for (; i < w; ++i)
    for (int64_t c = 0; c < channels; ++c) y[i * ld + c] = tile[c * to_next_channel + i];
}

// All slices of one channel of quarter K / 2 - 1: out [slice][row][pixel].
template <class V, int K>
void tiles_of_channel(const Dims& d, const Unit& u, const Planes& planes, int64_t c, int64_t y0, int64_t x0,
                      const float* weight, float bias, float* out) {
  constexpr int64_t P = K / 2;
  const int64_t pz = d.volume ? P : 0;
  for (int64_t z = u.z0; z < u.z1;
       ++z, out += V::R * 2 * V::L) {  // the window moves by a slice and stays in the L1 cache
    const int64_t z_first = larger(z - pz, 0), z_last = smaller(z + pz + 1, d.d);
    const float* window = planes.at(c, z_first, y0 - P) + x0 - P;
    const float* residual = d.residual ? planes.at(c, z, y0) + x0 : nullptr;
    const auto run = d.w - x0 > V::L ? tile<V, K, 2> : tile<V, K, 1>;
    run(window, planes.row, planes.slice, z_last - z_first, weight + (z_first - (z - pz)) * K * K, bias, residual, out);
  }
}

template <class V>
void forward(const Dims& d, const Unit& u, const float* x, const MultiscaleDepthwiseParameters<const float>& w,
             float* y, float* scratch) {
  constexpr decltype(&tiles_of_channel<V, 3>) kRun[] = {tiles_of_channel<V, 3>, tiles_of_channel<V, 5>,
                                                        tiles_of_channel<V, 7>, tiles_of_channel<V, 9>};
  constexpr int64_t kTile = V::R * 2 * V::L;
  Planes planes[4];
  float* tiles = lay_out(d, u, true, V::R, scratch, planes);  // [quarter][channel][slice][row][pixel]
  fetch<V>(d, u, x, d.ldx, planes);
  const int64_t slices = u.z1 - u.z0, g = d.c / 4;
  for (int64_t y0 = u.y0; y0 < u.y1; y0 += V::R)
    for (int64_t x0 = 0; x0 < d.w; x0 += 2 * V::L) {
      for (int64_t q = u.q0; q < u.q1; ++q)
        for (int64_t c = 0; c < u.channels; ++c)
          kRun[q](d, u, planes[q], c, y0, x0, w.weight[q] + c * taps_of(d, q), w.bias[q][c],
                  tiles + ((q - u.q0) * 4 + c) * slices * kTile);
      for (int64_t z = u.z0; z < u.z1; ++z)
        for (int64_t r = 0; r < smaller(V::R, u.y1 - y0); ++r)
          for (int64_t q = u.q0; q < u.q1; ++q)
            put_row<V>(tiles + ((q - u.q0) * 4 * slices + z - u.z0) * kTile + r * 2 * V::L, slices * kTile, u.channels,
                       smaller(2 * V::L, d.w - x0),
                       y + (((u.n * d.d + z) * d.h + y0 + r) * d.w + x0) * d.ldy + q * g + u.j, d.ldy);
    }
}

// sums[kx][ky] += lane by lane over V::RW rows of one slice: dy times x, which is shifted by (ky, kx).
template <class V, int K>
__attribute__((noinline)) void correlate(const float* x, const float* dy, int64_t stride, int64_t w, float* sums) {
  using v = typename V::v;
  constexpr int R = V::RW, L = V::L;
#pragma GCC unroll 1
  for (int kx = 0; kx < K; ++kx, sums += K * L) {
    v sum[K];
#pragma GCC unroll 16
    for (int k = 0; k < K; ++k) sum[k] = V::load(sums + k * L);
    for (int64_t i = 0; i < w; i += L) {
      v g[R];
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) g[r] = V::load(dy + r * stride + i);
#pragma GCC unroll 16
      for (int j = 0; j < R + K - 1; ++j) {
        const v in = V::load(x + j * stride + kx + i);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
          if (j - r >= 0 && j - r < K) sum[j - r] = V::fma(in, g[r], sum[j - r]);
      }
    }
#pragma GCC unroll 16
    for (int k = 0; k < K; ++k) V::store(sums + k * L, sum[k]);
  }
}

// The sum of V::RW rows.
template <class V>
float total(const float* dy, int64_t stride, int64_t w) {
  typename V::v sum = V::broadcast(0);
  for (int64_t i = 0; i < w; i += V::L) {
    typename V::v row = V::load(dy + i);
#pragma GCC unroll 16
    for (int r = 1; r < V::RW; ++r) row = V::add(row, V::load(dy + r * stride + i));
    sum = V::add(sum, row);
  }
  return V::sum(sum);
}

// One channel of quarter K / 2 - 1; sums: memory for K * K * K vectors.
template <class V, int K>
void weight_gradient_of_channel(const Dims& d, const Unit& u, const Planes& x, const Planes& dy, int64_t c,
                                float* dweight, float* dbias, float* sums) {
  constexpr int64_t P = K / 2, L = V::L;
  const int64_t pz = d.volume ? P : 0, kd = 2 * pz + 1;
  for (int64_t i = 0; i < kd * K * K * L; i += L) V::store(sums + i, V::broadcast(0));  // [kz][kx][ky][lane]
  for (int64_t z = u.z0; z < u.z1; ++z)
    for (int64_t y = u.y0; y < u.y1; y += V::RW) {
      *dbias += total<V>(dy.at(c, z, y), dy.row, d.w);
      for (int64_t zi = larger(z - pz, 0); zi < smaller(z + pz + 1, d.d); ++zi)
        correlate<V, K>(x.at(c, zi, y - P) - P, dy.at(c, z, y), dy.row, d.w, sums + (zi - (z - pz)) * K * K * L);
    }
  for (int64_t kz = 0; kz < kd; ++kz)
    for (int ky = 0; ky < K; ++ky)
      for (int kx = 0; kx < K; ++kx)
        dweight[(kz * K + ky) * K + kx] += V::sum(V::load(sums + ((kz * K + kx) * K + ky) * L));
}

template <class V>
void weight_gradient(const Dims& d, const Unit& u, const float* x, const float* dy,
                     const MultiscaleDepthwiseParameters<float>& dw, float* scratch) {
  constexpr decltype(&weight_gradient_of_channel<V, 3>) kRun[] = {
      weight_gradient_of_channel<V, 3>, weight_gradient_of_channel<V, 5>, weight_gradient_of_channel<V, 7>,
      weight_gradient_of_channel<V, 9>};
  Planes planes[4], dy_planes[4];
  float* rest = lay_out(d, u, true, V::RW, scratch + 9 * 9 * 9 * V::L, planes);
  lay_out(d, u, false, V::RW, rest, dy_planes);
  fetch<V>(d, u, x, d.ldx, planes);
  fetch<V>(d, u, dy, d.ldy, dy_planes);
  for (int64_t q = u.q0; q < u.q1; ++q)
    for (int64_t c = 0; c < u.channels; ++c)
      kRun[q](d, u, planes[q], dy_planes[q], c, dw.weight[q] + c * taps_of(d, q), dw.bias[q] + c, scratch);
}

}  // namespace
}  // namespace lgms::kernels
