#pragma once
// The weight gradient over the Vec of the file that includes this. All in an anonymous namespace: every ISA file has
// its own copy, and none can take another's place. From the reference (AVX-512, one core with a peak of 177 GFLOP/s at
// the time; 64 -> 64 3x3 at 64x64: 14 GFLOP/s):
// - sums of 8 channels x 3 vectors stay in registers over the pixels of a strip; 11 loads feed 24 products, and for 3x3
// the
//   three vectors are three taps along the row; strips packed, with zeros around the image: 145
// - Winograd (weight_gradient_loops.h): 340
// and of 1x1, 128 -> 256 at 64x64 (bound by memory):
// - all channels of a pixel packed at once instead of 64: 96 to 117; tiles fetch the next strip meanwhile: 127
#include "kernels/convolution/weight_gradient/weight_gradient.h"

namespace {

using lgms::kernels::CorrelationDims;
using lgms::kernels::CorrelationSums;
using lgms::kernels::Slab;
using T = Vec::T;
constexpr int64_t lanes = Vec::lanes;
// The register tile: kJ channels of b times kV vectors of a.
constexpr int kJ = Vec::lanes == 16 ? 8 : 4, kV = Vec::lanes == 4 ? 2 : 3;

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Rows of pixels; of each pixel, vectors of a's channels or groups of kJ of b's. Strides in floats.
struct Panel {
  const float* data;
  int64_t vector, pixel, row;
};

// Sums [channel of b][vector of a].
struct Sums {
  float* data;
  int64_t vector, channel;
};

// What is read next: `lines` cache lines of each of so many pixels, of a and of b. Tiles bring it into L2 while they
// multiply, a line per pixel of theirs.
struct Run {
  const float* data;
  int64_t pixel, pixels, lines;
};
struct Ahead {
  Run of[2];
  int64_t column;
};

// The next column of cache lines: one line of each of count pixels.
struct Lines {
  const float* data;
  int64_t step;
};
Lines next_lines(Ahead& ahead, int64_t count, const float* nothing) {
  int64_t column = ahead.column++;
  for (const Run& run : ahead.of) {
    const int64_t columns = ceil_div(run.pixels, count) * run.lines;
    if (column < columns)
      return {run.data + column / run.lines * count * run.pixel + column % run.lines * 16, run.pixel};
    column -= columns;
  }
  return {nothing, 0};
}

// sums[j][v] += sum over the pixels of b[j] * a[v].
template <int J, int V>
[[gnu::noinline]] void tile(const Panel& a, const Panel& b, int64_t rows, int64_t width, const Sums& sums,
                            Lines ahead) {
  T sum[J][V];
  LGMS_UNROLL
  for (int j = 0; j < J; ++j) LGMS_UNROLL
  for (int v = 0; v < V; ++v) sum[j][v] = Vec::zero();
  for (int64_t row = 0; row < rows; ++row) {
    const float* pa = a.data + row * a.row;
    const float* pb = b.data + row * b.row;
    for (int64_t x = 0; x < width; ++x, pa += a.pixel, pb += b.pixel) {
      __builtin_prefetch(ahead.data, 0, 2);
      ahead.data += ahead.step;
      T vector[V];
      LGMS_UNROLL
      for (int v = 0; v < V; ++v) vector[v] = Vec::load(pa + v * a.vector);
      LGMS_UNROLL
      for (int j = 0; j < J; ++j) {
        const T one = Vec::set1(pb[j / kJ * b.vector + j % kJ]);
        LGMS_UNROLL
        for (int v = 0; v < V; ++v) sum[j][v] = Vec::fma(one, vector[v], sum[j][v]);
      }
    }
  }
  LGMS_UNROLL
  for (int j = 0; j < J; ++j) LGMS_UNROLL
  for (int v = 0; v < V; ++v) {
    float* const at = sums.data + v * sums.vector + j * sums.channel;
    Vec::store(at, Vec::add(Vec::load(at), sum[j][v]));
  }
}

// The channels [j, cb) of b, J and then fewer at a time.
template <int J, int V>
void tiles_down(const Panel& a, const Panel& b, int64_t j, int64_t cb, int64_t rows, int64_t width, const Sums& sums,
                Ahead& ahead) {
  for (; j + J <= cb; j += J)
    tile<J, V>(a, {b.data + j / kJ * b.vector + j % kJ, b.vector, b.pixel, b.row}, rows, width,
               {sums.data + j * sums.channel, sums.vector, sums.channel}, next_lines(ahead, rows * width, a.data));
  if constexpr (J > 1) tiles_down<J / 2, V>(a, b, j, cb, rows, width, sums, ahead);
}

// How many of so many vectors to take at a time: not three and one.
int64_t together(int64_t vectors) { return vectors == 4 ? 2 : least(vectors, kV); }

void tiles(int64_t vectors, const Panel& a, const Panel& b, int64_t cb, int64_t rows, int64_t width, const Sums& sums,
           Ahead& ahead) {
  if (vectors == 1) return tiles_down<2 * kJ, 1>(a, b, 0, cb, rows, width, sums, ahead);
  if (vectors == 2) return tiles_down<kJ, 2>(a, b, 0, cb, rows, width, sums, ahead);
  if constexpr (kV == 3) tiles_down<kJ, 3>(a, b, 0, cb, rows, width, sums, ahead);
}

// to[c] += the sum over pixels of x[c].
void sum_pixels(const float* x, int64_t pixels, int64_t ld, int64_t channels, float* to) {
  for (int64_t c = 0; c < channels; c += lanes) {
    const int64_t live = least(lanes, channels - c);
    T sum[4] = {Vec::load(to + c, live), Vec::zero(), Vec::zero(), Vec::zero()};
    for (int64_t p = 0; p < pixels; ++p)
      sum[p % 4] = Vec::add(sum[p % 4], live == lanes ? Vec::load(x + p * ld + c) : Vec::load(x + p * ld + c, live));
    Vec::store(to + c, Vec::add(Vec::add(sum[0], sum[1]), Vec::add(sum[2], sum[3])), live);
  }
}

int64_t vectors_of(const CorrelationDims& d) { return ceil_div(d.ca, lanes); }

// A strip: rows of one slice whose pixels are packed, a's as [vector][slice of the window][row][pixel][lanes] with
// zeros around the image, b's as [group of kJ][row][pixel][kJ]. 128 pixels stay in L1; where rows above and below are
// packed too, 512 pack fewer of them (3x3 at W = 256: 10 %).
struct Strip {
  int64_t n, z, y, rows;
};
int64_t strip_rows(const CorrelationDims& d) { return least(d.h, (d.kh > 1 ? 512 : 128) / (d.w + 1) + 1); }
int64_t a_row(const CorrelationDims& d) { return (d.w + d.kw - 1) * lanes; }
int64_t a_slice(const CorrelationDims& d) { return (strip_rows(d) + d.kh - 1) * a_row(d); }
int64_t a_vector(const CorrelationDims& d) { return d.kd * a_slice(d) + 16; }
int64_t b_group(const CorrelationDims& d) { return strip_rows(d) * d.w * kJ + 16; }

void zero(float* to, int64_t floats) {
  for (int64_t i = 0; i < floats; i += lanes) Vec::store(to + i, Vec::zero());
}

// One row of a; from is null above and below the image.
void pack_a_row(const CorrelationDims& d, const float* from, float* to) {
  const int64_t border = d.kw / 2 * lanes, vectors = vectors_of(d), step = a_vector(d), full = d.ca / lanes;
  for (int64_t v = 0; v < vectors; ++v) {
    zero(to + v * step, from ? border : a_row(d));
    if (from) zero(to + v * step + border + d.w * lanes, border);
  }
  if (!from) return;
  to += border;
  for (int64_t x = 0; x < d.w; ++x, from += d.lda, to += lanes) {
    for (int64_t v = 0; v < full; ++v) Vec::store(to + v * step, Vec::load(from + v * lanes));
    if (full < vectors) Vec::store(to + full * step, Vec::load(from + full * lanes, d.ca - full * lanes));
  }
}

void pack_a(const CorrelationDims& d, const Strip& s, const float* a, float* to) {
  for (int64_t tz = 0; tz < d.kd; ++tz) {
    const int64_t z = s.z + tz - d.kd / 2;
    if (z < 0 || z >= d.d) continue;
    for (int64_t r = 0; r < s.rows + d.kh - 1; ++r) {
      const int64_t y = s.y + r - d.kh / 2;
      const float* from = y < 0 || y >= d.h ? nullptr : a + ((s.n * d.d + z) * d.h + y) * d.w * d.lda;
      pack_a_row(d, from, to + tz * a_slice(d) + r * a_row(d));
    }
  }
}

void pack_b(const CorrelationDims& d, const Strip& s, const float* b, float* to) {
  const float* from = b + ((s.n * d.d + s.z) * d.h + s.y) * d.w * d.ldb;
  const int64_t step = b_group(d), full = d.cb / kJ;
  for (int64_t x = 0; x < s.rows * d.w; ++x, from += d.ldb, to += kJ) {
    for (int64_t j = 0; j < full; ++j) __builtin_memcpy(to + j * step, from + j * kJ, kJ * sizeof(float));
    for (int64_t j = full * kJ; j < d.cb; ++j) to[full * step + j % kJ] = from[j];
  }
}

// p += the strip's share. A tile spans up to kV taps along a row, or vectors of a where the window has no width.
void add_strip(const CorrelationDims& d, const Strip& s, const float* a, const float* b, float* p, Ahead& ahead) {
  const bool wide = d.kw > 1;
  const Panel pb{b, b_group(d), kJ, d.w * kJ};
  for (int64_t v = 0, step = 0; v < vectors_of(d); v += step) {
    step = wide ? 1 : together(vectors_of(d) - v);
    for (int64_t t = 0, taps = 0; t < d.taps(); t += taps) {  // t: the first of the taps of a tile
      const int64_t tz = t / d.kw / d.kh, ty = t / d.kw % d.kh, tx = t % d.kw;
      taps = least(kV, d.kw - tx);
      if (s.z + tz - d.kd / 2 < 0 || s.z + tz - d.kd / 2 >= d.d) continue;
      const Panel pa{a + v * a_vector(d) + tz * a_slice(d) + ty * a_row(d) + tx * lanes, wide ? lanes : a_vector(d),
                     lanes, a_row(d)};
      tiles(wide ? taps : step, pa, pb, d.cb, s.rows, d.w,
            {p + t * d.cb * d.ldp + v * lanes, wide ? d.cb * d.ldp : lanes, d.ldp}, ahead);
    }
  }
}

// The strips of a range of units, one after another.
struct Position {
  int64_t unit, strip;
};
Strip strip_at(const CorrelationDims& d, const Position& at) {
  const Slab s = lgms::kernels::correlation_slab(d, at.unit);
  const int64_t step = strip_rows(d), down = ceil_div(s.rows, step), y = at.strip % down * step;
  return {s.n, s.z + at.strip / down, s.y + y, least(step, s.rows - y)};
}
Position after(const CorrelationDims& d, const Position& at) {
  const Slab s = lgms::kernels::correlation_slab(d, at.unit);
  const int64_t strips = s.slices * ceil_div(s.rows, strip_rows(d));
  return at.strip + 1 < strips ? Position{at.unit, at.strip + 1} : Position{at.unit + 1, 0};
}

int64_t pixel_at(const CorrelationDims& d, const Strip& s) { return ((s.n * d.d + s.z) * d.h + s.y) * d.w; }

// The pixels of a strip that follows another (a's rows above it are there already).
Ahead ahead_of(const CorrelationDims& d, const Strip& s, const float* a, const float* b) {
  const int64_t at = pixel_at(d, s), pixels = s.rows * d.w;
  Ahead ahead{{{a + (at + d.kh / 2 * d.w) * d.lda, d.lda, pixels, ceil_div(d.ca, 16)},
               {b + at * d.ldb, d.ldb, pixels, ceil_div(d.cb, 16)}},
              0};
  for (Run& run : ahead.of)  // a dense run is one long line: the hardware helps (5 %)
    if (run.pixel == run.lines * 16) run = {run.data, 16, run.pixels * run.lines, 1};
  return ahead;
}

int64_t correlation_scratch(const CorrelationDims& d) {
  return vectors_of(d) * a_vector(d) + ceil_div(d.cb, kJ) * b_group(d);
}

void correlation(const CorrelationDims& d, int64_t first, int64_t last, const float* a, const float* b,
                 const CorrelationSums<float>& to, float* scratch) {
  float* const packed_b = scratch + vectors_of(d) * a_vector(d);
  for (int64_t row = 0; row < d.taps() * d.cb; ++row) zero(to.p + row * d.ldp, ceil_div(d.ca, 16) * 16);
  for (Position at{first, 0}; at.unit < last;) {
    const Strip s = strip_at(d, at);
    at = after(d, at);
    Ahead ahead = ahead_of(d, at.unit < last ? strip_at(d, at) : s, a, b);
    pack_a(d, s, a, scratch);
    pack_b(d, s, b, packed_b);
    if (to.sum_a) sum_pixels(a + pixel_at(d, s) * d.lda, s.rows * d.w, d.lda, d.ca, to.sum_a);
    if (to.sum_b) sum_pixels(b + pixel_at(d, s) * d.ldb, s.rows * d.w, d.ldb, d.cb, to.sum_b);
    add_strip(d, s, scratch, packed_b, to.p, ahead);
  }
}

}  // namespace
