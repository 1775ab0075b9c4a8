#include <immintrin.h>

#include "kernels/convolution/weight_gradient.h"

namespace lgms::kernels {
namespace {

// Pixels whose 16-lane vectors (of a) or 8-channel groups (of b) lie at these strides.
struct Panel {
  const float* data;
  int64_t vector, pixel, row;
};

// Where the sums go: vector to vector, and channel j to j + 1.
struct Sums {
  float* data;
  int64_t vector, channel;
};

// p[j][v] += sum over rows and pixels of b[j] * a[v]. Per pixel V loads and J broadcasts for J * V products.
template <int J, int V>
void tile(const Panel& a, const Panel& b, int64_t rows, int64_t width, const Sums& p) {
  __m512 sum[J][V];
#pragma GCC unroll 8
  for (int j = 0; j < J; ++j)
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) sum[j][v] = _mm512_setzero_ps();
  for (int64_t row = 0; row < rows; ++row) {
    const float* pa = a.data + row * a.row;
    const float* pb = b.data + row * b.row;
    for (int64_t x = 0; x < width; ++x, pa += a.pixel, pb += b.pixel) {
      __m512 lanes[V];
#pragma GCC unroll 3
      for (int v = 0; v < V; ++v) lanes[v] = _mm512_loadu_ps(pa + v * a.vector);
#pragma GCC unroll 8
      for (int j = 0; j < J; ++j) {
        const __m512 one = _mm512_set1_ps(pb[j]);
#pragma GCC unroll 3
        for (int v = 0; v < V; ++v) sum[j][v] = _mm512_fmadd_ps(one, lanes[v], sum[j][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int j = 0; j < J; ++j)
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) {
      float* to = p.data + v * p.vector + j * p.channel;
      _mm512_store_ps(to, _mm512_add_ps(_mm512_load_ps(to), sum[j][v]));
    }
}

using Tile = void(const Panel&, const Panel&, int64_t rows, int64_t width, const Sums&);
constexpr Tile* kTiles[4][3] = {{tile<1, 1>, tile<1, 2>, tile<1, 3>},
                                {tile<2, 1>, tile<2, 2>, tile<2, 3>},
                                {tile<4, 1>, tile<4, 2>, tile<4, 3>},
                                {tile<8, 1>, tile<8, 2>, tile<8, 3>}};

// All channels of b, in blocks of 8, 4, 2, 1. block: from one block of 8 to the next.
void tiles(int vectors, Panel a, Panel b, int64_t block, int64_t cb, int64_t rows, int64_t width, Sums p) {
  const float* b0 = b.data;
  float* p0 = p.data;
  for (int64_t j = 0; j < cb;) {
    const int log = cb - j >= 8 ? 3 : cb - j >= 4 ? 2 : cb - j >= 2 ? 1 : 0;
    b.data = b0 + j / 8 * block + j % 8;
    p.data = p0 + j * p.channel;
    kTiles[log][vectors - 1](a, b, rows, width, p);
    j += int64_t{1} << log;
  }
}

// A strip of rows of one slice, and how a and b are packed for it.
struct Strip {
  int64_t n, z, top, rows;
};

int64_t vectors_of(const CorrelationDims& d) { return (d.ca + 15) / 16; }
int64_t b_blocks(const CorrelationDims& d) { return (d.cb + 7) / 8; }
// Rows per strip: about 512 pixels keep the packed rows of one vector and one block near L1.
int64_t strip_rows(const CorrelationDims& d) { return d.h * d.w < 512 ? d.h : 512 / (d.w + 1) + 1; }
int64_t a_row(const CorrelationDims& d) { return (d.w + d.kw - 1) * 16; }
int64_t a_slice(const CorrelationDims& d) { return (strip_rows(d) + d.kh - 1) * a_row(d); }
int64_t a_vector(const CorrelationDims& d) { return d.kd * a_slice(d) + 16; }
int64_t b_block(const CorrelationDims& d) { return strip_rows(d) * d.w * 8 + 16; }

void zero(float* to, int64_t pixels) {
  for (int64_t x = 0; x < pixels; ++x) _mm512_store_ps(to + x * 16, _mm512_setzero_ps());
}

// One row of a, all vectors, zeros around it; from is null above and below the image.
void pack_a_row(const CorrelationDims& d, const float* from, float* to) {
  const int64_t border = d.kw / 2, vectors = vectors_of(d), step = a_vector(d);
  const __mmask16 tail = static_cast<__mmask16>(0xffffu >> (vectors * 16 - d.ca));
  for (int64_t v = 0; v < vectors; ++v) {
    if (!from) {
      zero(to + v * step, d.w + 2 * border);
      continue;
    }
    zero(to + v * step, border);
    zero(to + v * step + (border + d.w) * 16, border);
  }
  if (!from) return;
  to += border * 16;
  for (int64_t x = 0; x < d.w; ++x, from += d.lda, to += 16) {
    for (int64_t v = 0; v + 1 < vectors; ++v) _mm512_store_ps(to + v * step, _mm512_loadu_ps(from + v * 16));
    const int64_t v = vectors - 1;
    _mm512_store_ps(to + v * step, _mm512_maskz_loadu_ps(tail, from + v * 16));
  }
}

void pack_a(const CorrelationDims& d, const Strip& s, const float* a, float* to) {
  for (int64_t tz = 0; tz < d.kd; ++tz) {
    const int64_t z = s.z + tz - d.kd / 2;
    if (z < 0 || z >= d.d) continue;
    for (int64_t r = 0; r < s.rows + d.kh - 1; ++r) {
      const int64_t y = s.top + r - d.kh / 2;
      const float* from = y < 0 || y >= d.h ? nullptr : a + ((s.n * d.d + z) * d.h + y) * d.w * d.lda;
      pack_a_row(d, from, to + tz * a_slice(d) + r * a_row(d));
    }
  }
}

void pack_b(const CorrelationDims& d, const Strip& s, const float* b, float* to) {
  const float* from = b + ((s.n * d.d + s.z) * d.h + s.top) * d.w * d.ldb;
  const int64_t step = b_block(d), full = d.cb / 8;
  const __mmask8 tail = static_cast<__mmask8>((1u << d.cb % 8) - 1);
  for (int64_t x = 0; x < s.rows * d.w; ++x, from += d.ldb, to += 8) {
    for (int64_t j = 0; j < full; ++j) _mm256_store_ps(to + j * step, _mm256_loadu_ps(from + j * 8));
    if (tail) _mm256_store_ps(to + full * step, _mm256_maskz_loadu_ps(tail, from + full * 8));
  }
}

// p += the strip's share: for every tap row (tz, ty), tiles over taps along a row, or over vectors of a where there is
// one.
void add_strip(const CorrelationDims& d, const Strip& s, const float* a, const float* b, float* p) {
  const int64_t vectors = vectors_of(d);
  const Panel pb{b, 0, 8, d.w * 8};
  for (int64_t v = 0; v < vectors;) {
    const int64_t left = vectors - v, together = d.kw > 1 ? 1 : left == 4 ? 2 : left < 3 ? left : 3;
    for (int64_t tz = 0; tz < d.kd; ++tz) {
      if (s.z + tz - d.kd / 2 < 0 || s.z + tz - d.kd / 2 >= d.d) continue;
      for (int64_t ty = 0; ty < d.kh; ++ty)
        for (int64_t tx = 0; tx < d.kw; tx += 3) {
          const int64_t taps = d.kw - tx < 3 ? d.kw - tx : 3;
          const Panel pa{a + v * a_vector(d) + tz * a_slice(d) + ty * a_row(d) + tx * 16, d.kw > 1 ? 16 : a_vector(d),
                         16, a_row(d)};
          const int64_t t = (tz * d.kh + ty) * d.kw + tx;
          const Sums sums{p + t * d.cb * d.ldp + v * 16, d.kw > 1 ? d.cb * d.ldp : 16, d.ldp};
          tiles(static_cast<int>(d.kw > 1 ? taps : together), pa, pb, b_block(d), d.cb, s.rows, d.w, sums);
        }
    }
    v += together;
  }
}

}  // namespace

int64_t correlation_scratch_avx512(const CorrelationDims& d) {
  return vectors_of(d) * a_vector(d) + b_blocks(d) * b_block(d);
}

void correlation_avx512(const CorrelationDims& d, int64_t first, int64_t last, const float* a, const float* b, float* p,
                        float* scratch) {
  float* const packed_b = scratch + vectors_of(d) * a_vector(d);
  for (int64_t row = 0; row < d.taps() * d.cb; ++row) zero(p + row * d.ldp, vectors_of(d));
  for (int64_t unit = first; unit < last; ++unit) {
    const Slab slab = correlation_slab(d, unit);
    const int64_t bottom = slab.y + slab.rows, step = strip_rows(d);
    for (int64_t z = slab.z; z < slab.z + slab.slices; ++z)
      for (int64_t y = slab.y; y < bottom; y += step) {
        const Strip s{slab.n, z, y, bottom - y < step ? bottom - y : step};
        pack_a(d, s, a, scratch);
        pack_b(d, s, b, packed_b);
        add_strip(d, s, scratch, packed_b, p);
      }
  }
}

}  // namespace lgms::kernels
