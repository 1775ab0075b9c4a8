#include <immintrin.h>

#include "kernels/convolution/weight_gradient.h"

namespace lgms::kernels {
namespace {

constexpr int kPlanes = 36;

// v := B^T v, for 6 pixels of a.
void transform_a(__m512* v) {
  const __m512 two = _mm512_set1_ps(2), four = _mm512_set1_ps(4), five = _mm512_set1_ps(5);
  const __m512 t1 = _mm512_fnmadd_ps(four, v[2], v[4]), t2 = _mm512_fnmadd_ps(four, v[1], v[3]);
  const __m512 t3 = _mm512_sub_ps(v[4], v[2]), t4 = _mm512_mul_ps(two, _mm512_sub_ps(v[3], v[1]));
  v[0] = _mm512_fmadd_ps(four, v[0], _mm512_fnmadd_ps(five, v[2], v[4]));
  v[5] = _mm512_fmadd_ps(four, v[1], _mm512_fnmadd_ps(five, v[3], v[5]));
  v[1] = _mm512_add_ps(t1, t2);
  v[2] = _mm512_sub_ps(t1, t2);
  v[3] = _mm512_add_ps(t3, t4);
  v[4] = _mm512_sub_ps(t3, t4);
}

// u = A v, for 4 pixels of b.
void transform_b(const __m512* v, __m512* u) {
  const __m512 two = _mm512_set1_ps(2), four = _mm512_set1_ps(4);
  const __m512 even = _mm512_add_ps(v[0], v[2]), odd = _mm512_add_ps(v[1], v[3]);
  const __m512 even2 = _mm512_fmadd_ps(four, v[2], v[0]), odd2 = _mm512_mul_ps(two, _mm512_fmadd_ps(four, v[3], v[1]));
  u[0] = v[0];
  u[1] = _mm512_add_ps(even, odd);
  u[2] = _mm512_sub_ps(even, odd);
  u[3] = _mm512_add_ps(even2, odd2);
  u[4] = _mm512_sub_ps(even2, odd2);
  u[5] = v[3];
}

// w = G^T m, for the 3 taps of 6 planes.
void transform_back(const __m512* m, __m512* w) {
  const __m512 s = _mm512_add_ps(m[1], m[2]), s2 = _mm512_add_ps(m[3], m[4]);
  const __m512 sixth = _mm512_set1_ps(1.0f / 6), twelfth = _mm512_set1_ps(1.0f / 12);
  const __m512 t = _mm512_mul_ps(_mm512_sub_ps(m[2], m[1]), sixth);
  w[0] = _mm512_fmadd_ps(_mm512_set1_ps(1.0f / 24), s2,
                         _mm512_fnmadd_ps(sixth, s, _mm512_mul_ps(_mm512_set1_ps(0.25f), m[0])));
  w[1] = _mm512_fmadd_ps(twelfth, _mm512_sub_ps(m[3], m[4]), t);
  w[2] = _mm512_fmadd_ps(sixth, _mm512_sub_ps(s2, s), m[5]);
}

// p[j][v] += sum over tiles of b[j] * a[v].
template <int J, int V>
void tile(const float* a, int64_t a_vector, const float* b, int64_t tiles, float* p, int64_t ldp) {
  __m512 sum[J][V];
#pragma GCC unroll 16
  for (int j = 0; j < J; ++j)
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) sum[j][v] = _mm512_setzero_ps();
  for (int64_t x = 0; x < tiles; ++x, a += 16, b += 16) {
    __m512 lanes[V];
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) lanes[v] = _mm512_load_ps(a + v * a_vector);
#pragma GCC unroll 16
    for (int j = 0; j < J; ++j) {
      const __m512 one = _mm512_set1_ps(b[j]);
#pragma GCC unroll 3
      for (int v = 0; v < V; ++v) sum[j][v] = _mm512_fmadd_ps(one, lanes[v], sum[j][v]);
    }
  }
#pragma GCC unroll 16
  for (int j = 0; j < J; ++j)
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) {
      float* to = p + j * ldp + v * 16;
      _mm512_store_ps(to, _mm512_add_ps(_mm512_load_ps(to), sum[j][v]));
    }
}

using Tile = void(const float* a, int64_t a_vector, const float* b, int64_t tiles, float* p, int64_t ldp);
constexpr Tile* kTiles[4][3] = {{tile<1, 1>, tile<1, 2>, tile<1, 3>},
                                {tile<2, 1>, tile<2, 2>, tile<2, 3>},
                                {tile<4, 1>, tile<4, 2>, tile<4, 3>},
                                {tile<8, 1>, tile<8, 2>, tile<8, 3>}};

// Scratch: u [36][b vectors][tiles][16], v [36][a vectors][tiles][16], m [kd][36][cb][a vectors * 16]. 16 floats
// between planes keep them out of each other's cache sets.
struct Layout {
  int64_t rows, columns;     // tiles of a slice of the slab
  int64_t u_tiles, v_tiles;  // of all its slices, of those and their neighbours
  int64_t u_vectors, v_vectors, u_plane, v_plane, m_row;
};

Layout layout_of(const CorrelationDims& d, const Slab& s) {
  Layout l{};
  l.rows = (s.rows + 3) / 4;
  l.columns = (d.w + 3) / 4;
  l.u_tiles = s.slices * l.rows * l.columns;
  l.v_tiles = (s.slices + d.kd - 1) * l.rows * l.columns;
  l.u_vectors = (d.cb + 15) / 16;
  l.v_vectors = (d.ca + 15) / 16;
  l.u_plane = l.u_vectors * l.u_tiles * 16 + 16;
  l.v_plane = l.v_vectors * l.v_tiles * 16 + 16;
  l.m_row = l.v_vectors * 16;
  return l;
}

// Pixels [y, y + K) x [x, x + K) of one vector of channels, zeros outside the image.
template <int K>
void load(const float* slice, int64_t ld, int64_t h, int64_t w, int64_t y, int64_t x, __mmask16 lanes,
          __m512 (*to)[K]) {
  const float* from = slice + (y * w + x) * ld;
  if (y >= 0 && x >= 0 && y + K <= h && x + K <= w) {
#pragma GCC unroll 6
    for (int r = 0; r < K; ++r)
#pragma GCC unroll 6
      for (int c = 0; c < K; ++c) to[c][r] = _mm512_maskz_loadu_ps(lanes, from + (r * w + c) * ld);
  } else {
    for (int r = 0; r < K; ++r)
      for (int c = 0; c < K; ++c) {
        const bool inside = y + r >= 0 && y + r < h && x + c >= 0 && x + c < w;
        to[c][r] = inside ? _mm512_maskz_loadu_ps(lanes, from + (r * w + c) * ld) : _mm512_setzero_ps();
      }
  }
}

// v = B^T a B of the 6 x 6 pixels at (y, x), one vector of channels, to 36 planes.
void tile_a(const float* slice, const CorrelationDims& d, int64_t y, int64_t x, __mmask16 lanes, float* v,
            int64_t plane) {
  __m512 t[6][6], row[6];
  load<6>(slice, d.lda, d.h, d.w, y, x, lanes, t);
#pragma GCC unroll 6
  for (int c = 0; c < 6; ++c) transform_a(t[c]);
#pragma GCC unroll 6
  for (int r = 0; r < 6; ++r) {
#pragma GCC unroll 6
    for (int c = 0; c < 6; ++c) row[c] = t[c][r];
    transform_a(row);
#pragma GCC unroll 6
    for (int c = 0; c < 6; ++c) _mm512_store_ps(v + (r * 6 + c) * plane, row[c]);
  }
}

// u = A b A^T of the 4 x 4 pixels at (y, x).
void tile_b(const float* slice, const CorrelationDims& d, int64_t y, int64_t x, __mmask16 lanes, float* u,
            int64_t plane) {
  __m512 pixels[4][4], t[4][6], row[4], out[6];
  load<4>(slice, d.ldb, d.h, d.w, y, x, lanes, pixels);
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) transform_b(pixels[c], t[c]);
#pragma GCC unroll 6
  for (int r = 0; r < 6; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) row[c] = t[c][r];
    transform_b(row, out);
#pragma GCC unroll 6
    for (int c = 0; c < 6; ++c) _mm512_store_ps(u + (r * 6 + c) * plane, out[c]);
  }
}

__mmask16 lanes_of(int64_t channels, int64_t vector) {
  const int64_t left = channels - vector * 16;
  return static_cast<__mmask16>(left >= 16 ? 0xffff : (1 << left) - 1);
}

void transform_slab_a(const CorrelationDims& d, const Slab& s, const Layout& l, const float* a, float* v) {
  for (int64_t slice = 0; slice < s.slices + d.kd - 1; ++slice) {
    const int64_t z = s.z + slice - d.kd / 2;
    const bool inside = z >= 0 && z < d.d;
    const float* from = a + (s.n * d.d + z) * d.h * d.w * d.lda;
    for (int64_t t = 0; t < l.rows * l.columns; ++t)
      for (int64_t i = 0; i < l.v_vectors; ++i) {
        float* to = v + (i * l.v_tiles + slice * l.rows * l.columns + t) * 16;
        if (inside)
          tile_a(from + i * 16, d, s.y + t / l.columns * 4 - 1, t % l.columns * 4 - 1, lanes_of(d.ca, i), to,
                 l.v_plane);
        else
          for (int k = 0; k < kPlanes; ++k) _mm512_store_ps(to + k * l.v_plane, _mm512_setzero_ps());
      }
  }
}

void transform_slab_b(const CorrelationDims& d, const Slab& s, const Layout& l, const float* b, float* u) {
  for (int64_t slice = 0; slice < s.slices; ++slice) {
    const float* from = b + (s.n * d.d + s.z + slice) * d.h * d.w * d.ldb;
    for (int64_t t = 0; t < l.rows * l.columns; ++t)
      for (int64_t j = 0; j < l.u_vectors; ++j)
        tile_b(from + j * 16, d, s.y + t / l.columns * 4, t % l.columns * 4, lanes_of(d.cb, j),
               u + (j * l.u_tiles + slice * l.rows * l.columns + t) * 16, l.u_plane);
  }
}

// m[j][i] += sum over the tiles of u[j] * v[i], in one plane.
void multiply(const CorrelationDims& d, const Layout& l, const float* u, const float* v, float* m) {
  for (int64_t i = 0; i < l.v_vectors;) {
    const int64_t left = l.v_vectors - i, together = left == 4 ? 2 : left < 3 ? left : 3;
    for (int64_t j = 0; j < d.cb;) {
      const int log = d.cb - j >= 8 ? 3 : d.cb - j >= 4 ? 2 : d.cb - j >= 2 ? 1 : 0;
      kTiles[log][together - 1](v + i * l.v_tiles * 16, l.v_tiles * 16, u + j / 16 * l.u_tiles * 16 + j % 16, l.u_tiles,
                                m + j * l.m_row + i * 16, l.m_row);
      j += int64_t{1} << log;
    }
    i += together;
  }
}

// p = G^T m G: 36 planes to 9 taps, for every slice of the window.
void back(const CorrelationDims& d, const Layout& l, const float* m, float* p) {
  const int64_t plane = d.cb * l.m_row;
  for (int64_t tz = 0; tz < d.kd; ++tz, m += kPlanes * plane, p += 9 * d.cb * d.ldp)
    for (int64_t at = 0; at < d.cb * l.v_vectors; ++at) {
      const int64_t j = at / l.v_vectors, i = at % l.v_vectors * 16;
      __m512 t[6][3], column[6], out[3];
      for (int c = 0; c < 6; ++c) {
        for (int r = 0; r < 6; ++r) column[r] = _mm512_load_ps(m + (r * 6 + c) * plane + j * l.m_row + i);
        transform_back(column, t[c]);
      }
      for (int r = 0; r < 3; ++r) {
        for (int c = 0; c < 6; ++c) column[c] = t[c][r];
        transform_back(column, out);
        for (int c = 0; c < 3; ++c) _mm512_store_ps(p + ((r * 3 + c) * d.cb + j) * d.ldp + i, out[c]);
      }
    }
}

}  // namespace

int64_t correlation_scratch_avx512_winograd(const CorrelationDims& d) {
  if (correlation_units(d) == 0) return 0;
  const Layout l = layout_of(d, correlation_slab(d, 0));
  return kPlanes * (l.u_plane + l.v_plane + d.kd * d.cb * l.m_row);
}

void correlation_avx512_winograd(const CorrelationDims& d, int64_t first, int64_t last, const float* a, const float* b,
                                 float* p, float* scratch) {
  const Layout most = layout_of(d, correlation_slab(d, 0));
  float* const u = scratch;
  float* const v = u + kPlanes * most.u_plane;
  float* const m = v + kPlanes * most.v_plane;
  const int64_t plane = d.cb * most.m_row;
  for (int64_t at = 0; at < d.kd * kPlanes * plane; at += 16) _mm512_store_ps(m + at, _mm512_setzero_ps());
  for (int64_t unit = first; unit < last; ++unit) {
    const Slab s = correlation_slab(d, unit);
    const Layout l = layout_of(d, s);
    transform_slab_a(d, s, l, a, v);
    transform_slab_b(d, s, l, b, u);
    for (int64_t tz = 0; tz < d.kd; ++tz)
      for (int k = 0; k < kPlanes; ++k)
        multiply(d, l, u + k * l.u_plane, v + k * l.v_plane + tz * l.rows * l.columns * 16,
                 m + (tz * kPlanes + k) * plane);
  }
  back(d, most, m, p);
}

}  // namespace lgms::kernels
