#pragma once
// The tuned kernels over the Vec of the file that includes this. From the reference to here, one thread of a Sapphire
// Rapids core that others shared:
// 1. The channels of a strip of rows are transposed to zero-padded planes; lanes are pixels of a row, weights are
//    scalars, and one text serves k = 3 to 9 in 2D and 3D whatever the number of channels. A row of x, loaded once for
//    each kx, meets every row of a tile of y that it reaches; the sums of the tile stay in registers. 128x128, C = 16,
//    AVX-512: 47.5 ms -> 0.36 ms; a tile of k = 9 runs at 155 GFLOP/s, the whole with its transposes at 60.
// 2. 2D units hold all four quarters, so that every cache line of x and dy is moved once: 256x256, weight
//    gradient 1.2x.
// 3. The channels of a row lie together (a page per row, not per channel) an odd number of lines apart: 1.02x.
// 4. AVX2, k = 7 and 9: weights are loaded again for each row instead of being spilled: 1.2x.
// No gain: strips of 16 rows instead of 24 (48: 1.15x slower), larger bands of rows in the weight gradient.
#include "kernels/multiscale_depthwise/multiscale_depthwise.h"

namespace lgms::kernels {
namespace {

using Dims = MultiscaleDepthwiseDims;
using Unit = MultiscaleDepthwiseUnit;

constexpr int kLanes = Vec::lanes;
// A tile is kTileRows rows by two vectors; the weight gradient holds kGradientRows of dy in registers.
constexpr int kTileRows = kLanes == 16 ? 8 : kLanes == 8 ? 6 : 4, kGradientRows = kLanes == 16 ? 8 : 4;

constexpr int64_t kTile = kTileRows * 2 * kLanes;  // floats
constexpr int64_t kSlices = lgms::kernels::kDepthwiseSlices;

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

// Rows [y0, y0 + rows) of `slices` slices at a time of the unit's channels of one quarter,
// [slice][row][channel][pixel]: slice z of the image lies at z % slices; rows outside of the image are 0. The channels
// of a row lie together, or each row would touch a memory page per channel; an odd number of cache lines from row to
// row spreads a window over all cache sets.
struct Planes {
  float* data;
  int64_t slices, y0, rows, channel, row, slice;  // the last three: floats from one to the next

  Planes() = default;
  Planes(const Dims& d, int64_t channels, int64_t slice_count, int64_t y_first, int64_t y_count, float* memory)
      : data(memory),
        slices(slice_count),
        y0(y_first),
        rows(y_count),
        channel(round_up(d.w, 16) + 2 * kMargin),
        row((channels * channel / 16 | 1) * 16),
        slice(rows * row) {}
  int64_t size() const { return slices * slice; }
  // Pixel (y, 0) of channel c, in coordinates of the image, from the start of a slice.
  int64_t offset(int64_t c, int64_t y) const { return (y - y0) * row + c * channel + kMargin; }
  float* start(int64_t z) const { return data + z % slices * slice; }
  float* at(int64_t c, int64_t z, int64_t y) const { return start(z) + offset(c, y); }
};

void fetch_row(const float* x, int64_t ld, int64_t w, int64_t channels, float* row, int64_t to_next_channel) {
  const Vec::T zero = Vec::zero();
  for (int64_t c = 0; c < channels; ++c) {
    float* start = row + c * to_next_channel - kMargin;
    for (int64_t i = 0; i < kMargin; i += kLanes) Vec::store(start + i, zero);
    for (int64_t i = (kMargin + (x ? w : 0)) / 16 * 16; i < to_next_channel; i += kLanes) Vec::store(start + i, zero);
  }
  if (!x) return;
  int64_t i = 0;
  if (channels == 4)
    for (; i + kLanes <= w; i += kLanes) {
      Vec::T out[4];
      Vec::load_transposed(x + i * ld, ld, out);
      LGMS_UNROLL
      for (int c = 0; c < 4; ++c) Vec::store(row + c * to_next_channel + i, out[c]);
    }
  for (; i < w; ++i)
    for (int64_t c = 0; c < channels; ++c) row[c * to_next_channel + i] = x[i * ld + c];
}

// Slices [from[q], to[q]) of every quarter, those of all quarters side by side: a row of the image is in the L1 cache
// for all of them where they are the same. from ends as to.
void fetch(const Dims& d, const Unit& u, const float* x, int64_t ld, const Planes (&planes)[4], int64_t (&from)[4],
           const int64_t (&to)[4]) {
  const Planes& most = planes[u.q1 - 1];  // the largest halo
  for (bool more = true; more;) {
    more = false;
    for (int64_t y = most.y0; y < most.y0 + most.rows; ++y)
      for (int64_t q = u.q0; q < u.q1; ++q) {
        const Planes& p = planes[q];
        if (from[q] >= to[q] || y < p.y0 || y >= p.y0 + p.rows) continue;
        const bool inside = y >= 0 && y < d.h;
        const float* source = inside ? x + ((u.n * d.d + from[q]) * d.h + y) * d.w * ld + q * (d.c / 4) + u.j : nullptr;
        fetch_row(source, ld, d.w, u.channels, p.at(0, from[q], y), p.channel);
      }
    for (int64_t q = u.q0; q < u.q1; ++q) {
      from[q] += from[q] < to[q];
      more = more || from[q] < to[q];
    }
  }
}

// Lays out planes of `slices` slices (0: of as many as a quarter's kernel reaches) of x (halo: of each quarter's
// kernel) or dy (no halo) for tiles of `step` rows; the memory that is left.
float* lay_out(const Dims& d, const Unit& u, bool halo, int64_t slices, int64_t step, float* memory,
               Planes (&planes)[4]) {
  for (int64_t q = u.q0; q < u.q1; ++q) {
    const int64_t p = halo ? q + 1 : 0, reach = d.volume ? 3 + 2 * q : 1;
    planes[q] = Planes(d, u.channels, smaller(slices > 0 ? slices : reach + kSlices - 1, d.d), u.y0 - p,
                       round_up(u.y1 - u.y0, step) + 2 * p, memory);
    memory += planes[q].size();
  }
  return memory;
}

// kTileRows rows by Q vectors of one plane. slices: kd of them, each with the top left of the window at `corner`;
// weight [kd, K, K]; residual: x under the first output, or null. out: rows of 2 * kLanes floats.
template <int K, int Q>
[[gnu::noinline]] void tile(const float* const* slices, int64_t corner, int64_t stride, int64_t kd, const float* weight,
                            float bias, const float* residual, float* out) {
  Vec::T sum[kTileRows][Q];
  LGMS_UNROLL
  for (int r = 0; r < kTileRows; ++r) LGMS_UNROLL
  for (int q = 0; q < Q; ++q) sum[r][q] = Vec::set1(bias);
#pragma GCC unroll 1
  for (int64_t kz = 0; kz < kd; ++kz, weight += K * K) {
    const float* const x = slices[kz] + corner;
#pragma GCC unroll 1
    for (int kx = 0; kx < K; ++kx) {
      LGMS_UNROLL
      for (int i = 0; i < kTileRows + K - 1; ++i) {  // a row of x, loaded once, meets every row of y that it reaches
        if constexpr (kLanes == 8 && K >= 7) asm("" : "+r"(weight));  // else the K weights are kept, on the stack
        Vec::T in[Q];
        LGMS_UNROLL
        for (int q = 0; q < Q; ++q) in[q] = Vec::load(x + i * stride + kx + q * kLanes);
        LGMS_UNROLL
        for (int r = 0; r < kTileRows; ++r)
          if (i - r >= 0 && i - r < K) {
            const Vec::T w = Vec::set1(weight[(i - r) * K + kx]);
            LGMS_UNROLL
            for (int q = 0; q < Q; ++q) sum[r][q] = Vec::fma(in[q], w, sum[r][q]);
          }
      }
    }
  }
  LGMS_UNROLL
  for (int r = 0; r < kTileRows; ++r) LGMS_UNROLL
  for (int q = 0; q < Q; ++q) {
    if (residual) sum[r][q] = Vec::add(sum[r][q], Vec::load(residual + r * stride + q * kLanes));
    Vec::store(out + (r * 2 + q) * kLanes, sum[r][q]);
  }
}

// One row of a tile (of 2 * kLanes floats per row), w of its pixels, back to channels-last.
void put_row(const float* tile, int64_t to_next_channel, int64_t channels, int64_t w, float* y, int64_t ld) {
  int64_t i = 0;
  if (channels == 4)
    for (; i + kLanes <= w; i += kLanes) {
      Vec::T in[4];
      LGMS_UNROLL
      for (int c = 0; c < 4; ++c) in[c] = Vec::load(tile + c * to_next_channel + i);
      Vec::store_transposed(in, y + i * ld, ld);
    }
  for (; i < w; ++i)
    for (int64_t c = 0; c < channels; ++c) y[i * ld + c] = tile[c * to_next_channel + i];
}

// One channel of quarter K / 2 - 1 in slices [z0, z1): out [slice][row][pixel]. The window moves by a slice and stays
// in the L1 cache.
template <int K>
void tiles_of_channel(const Dims& d, const Planes& planes, int64_t c, int64_t z0, int64_t z1, int64_t y0, int64_t x0,
                      const float* weight, float bias, float* out) {
  constexpr int64_t P = K / 2;
  const int64_t pz = d.volume ? P : 0;
  const auto run = d.w - x0 > kLanes ? tile<K, 2> : tile<K, 1>;
  for (int64_t z = z0; z < z1; ++z, out += kTile) {
    const int64_t first = larger(z - pz, 0), last = smaller(z + pz + 1, d.d);
    const float* slices[K];
    for (int64_t i = first; i < last; ++i) slices[i - first] = planes.start(i);
    const float* residual = d.residual ? planes.at(c, z, y0) + x0 : nullptr;
    run(slices, planes.offset(c, y0 - P) + x0 - P, planes.row, last - first, weight + (first - (z - pz)) * K * K, bias,
        residual, out);
  }
}

// kSlices slices at a time: of each quarter as many are held as its kernel reaches.
void forward(const Dims& d, const Unit& u, const float* x, const MultiscaleDepthwiseParameters<const float>& w,
             float* y, float* scratch) {
  constexpr decltype(&tiles_of_channel<3>) kRun[] = {tiles_of_channel<3>, tiles_of_channel<5>, tiles_of_channel<7>,
                                                     tiles_of_channel<9>};
  Planes planes[4];
  float* tiles = lay_out(d, u, true, 0, kTileRows, scratch, planes);  // [quarter][channel][slice][row][pixel]
  int64_t fetched[4], due[4];
  for (int64_t q = u.q0; q < u.q1; ++q) fetched[q] = larger(u.z0 - (d.volume ? q + 1 : 0), 0);
  for (int64_t z0 = u.z0; z0 < u.z1; z0 += kSlices) {
    const int64_t z1 = smaller(z0 + kSlices, u.z1);
    for (int64_t q = u.q0; q < u.q1; ++q) due[q] = smaller(z1 + (d.volume ? q + 1 : 0), d.d);
    fetch(d, u, x, d.ldx, planes, fetched, due);
    for (int64_t y0 = u.y0; y0 < u.y1; y0 += kTileRows)
      for (int64_t x0 = 0; x0 < d.w; x0 += 2 * kLanes) {
        for (int64_t q = u.q0; q < u.q1; ++q)
          for (int64_t c = 0; c < u.channels; ++c)
            kRun[q](d, planes[q], c, z0, z1, y0, x0, w.weight[q] + c * taps_of(d, q), w.bias[q][c],
                    tiles + (q * 4 + c) * kSlices * kTile);
        for (int64_t z = z0; z < z1; ++z)
          for (int64_t r = 0; r < smaller(kTileRows, u.y1 - y0); ++r)
            for (int64_t q = u.q0; q < u.q1; ++q)
              put_row(tiles + (q * 4 * kSlices + z - z0) * kTile + r * 2 * kLanes, kSlices * kTile, u.channels,
                      smaller(2 * kLanes, d.w - x0),
                      y + (((u.n * d.d + z) * d.h + y0 + r) * d.w + x0) * d.ldy + q * (d.c / 4) + u.j, d.ldy);
      }
  }
}

// sums[kx][ky] += lane by lane over kGradientRows rows of one slice: dy times x, which is shifted by (ky, kx).
template <int K>
[[gnu::noinline]] void correlate(const float* x, const float* dy, int64_t stride, int64_t w, float* sums) {
#pragma GCC unroll 1
  for (int kx = 0; kx < K; ++kx, sums += K * kLanes) {
    Vec::T sum[K];
    LGMS_UNROLL
    for (int k = 0; k < K; ++k) sum[k] = Vec::load(sums + k * kLanes);
    for (int64_t i = 0; i < w; i += kLanes) {
      Vec::T g[kGradientRows];
      LGMS_UNROLL
      for (int r = 0; r < kGradientRows; ++r) g[r] = Vec::load(dy + r * stride + i);
      LGMS_UNROLL
      for (int j = 0; j < kGradientRows + K - 1; ++j) {
        const Vec::T in = Vec::load(x + j * stride + kx + i);
        LGMS_UNROLL
        for (int r = 0; r < kGradientRows; ++r)
          if (j - r >= 0 && j - r < K) sum[j - r] = Vec::fma(in, g[r], sum[j - r]);
      }
    }
    LGMS_UNROLL
    for (int k = 0; k < K; ++k) Vec::store(sums + k * kLanes, sum[k]);
  }
}

// The sum of kGradientRows rows.
float total(const float* dy, int64_t stride, int64_t w) {
  Vec::T sum = Vec::zero();
  for (int64_t i = 0; i < w; i += kLanes) {
    Vec::T row = Vec::load(dy + i);
    LGMS_UNROLL
    for (int r = 1; r < kGradientRows; ++r) row = Vec::add(row, Vec::load(dy + r * stride + i));
    sum = Vec::add(sum, row);
  }
  return Vec::sum(sum);
}

// One channel of quarter K / 2 - 1; sums: memory for K * K * K vectors.
template <int K>
void weight_gradient_of_channel(const Dims& d, const Unit& u, const Planes& x, const Planes& dy, int64_t c,
                                float* dweight, float* dbias, float* sums) {
  constexpr int64_t P = K / 2;
  const int64_t pz = d.volume ? P : 0, kd = 2 * pz + 1;
  for (int64_t i = 0; i < kd * K * K * kLanes; i += kLanes) Vec::store(sums + i, Vec::zero());  // [kz][kx][ky][lane]
  for (int64_t z = u.z0; z < u.z1; ++z)
    for (int64_t y = u.y0; y < u.y1; y += kGradientRows) {
      *dbias += total(dy.at(c, z, y), dy.row, d.w);
      for (int64_t zi = larger(z - pz, 0); zi < smaller(z + pz + 1, d.d); ++zi)
        correlate<K>(x.at(c, zi, y - P) - P, dy.at(c, z, y), dy.row, d.w, sums + (zi - (z - pz)) * K * K * kLanes);
    }
  for (int64_t kz = 0; kz < kd; ++kz)
    for (int ky = 0; ky < K; ++ky)
      for (int kx = 0; kx < K; ++kx)
        dweight[(kz * K + ky) * K + kx] += Vec::sum(Vec::load(sums + ((kz * K + kx) * K + ky) * kLanes));
}

void weight_gradient(const Dims& d, const Unit& u, const float* x, const float* dy,
                     const MultiscaleDepthwiseParameters<float>& dw, float* scratch) {
  constexpr decltype(&weight_gradient_of_channel<3>) kRun[] = {
      weight_gradient_of_channel<3>, weight_gradient_of_channel<5>, weight_gradient_of_channel<7>,
      weight_gradient_of_channel<9>};
  Planes planes[4], dy_planes[4];
  float* rest = lay_out(d, u, true, u.z1 - u.z0 + 8, kGradientRows, scratch + 9 * 9 * 9 * kLanes, planes);
  lay_out(d, u, false, u.z1 - u.z0, kGradientRows, rest, dy_planes);
  int64_t first[4], last[4], dy_first[4], dy_last[4];
  for (int64_t q = u.q0; q < u.q1; ++q) {
    const int64_t pz = d.volume ? q + 1 : 0;
    first[q] = larger(u.z0 - pz, 0);
    last[q] = smaller(u.z1 + pz, d.d);
    dy_first[q] = u.z0;
    dy_last[q] = u.z1;
  }
  fetch(d, u, x, d.ldx, planes, first, last);
  fetch(d, u, dy, d.ldy, dy_planes, dy_first, dy_last);
  for (int64_t q = u.q0; q < u.q1; ++q)
    for (int64_t c = 0; c < u.channels; ++c)
      kRun[q](d, u, planes[q], dy_planes[q], c, dw.weight[q] + c * taps_of(d, q), dw.bias[q] + c, scratch);
}

}  // namespace

void LGMS_ROW(multiscale_depthwise_forward)(const Dims& d, const Unit& u, const float* x,
                                            const MultiscaleDepthwiseParameters<const float>& w, float* y,
                                            float* scratch) {
  forward(d, u, x, w, y, scratch);
}

void LGMS_ROW(multiscale_depthwise_weight_gradient)(const Dims& d, const Unit& u, const float* x, const float* dy,
                                                    const MultiscaleDepthwiseParameters<float>& dw, float* scratch) {
  weight_gradient(d, u, x, dy, dw, scratch);
}

}  // namespace lgms::kernels
