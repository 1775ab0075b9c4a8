#pragma once
// The weight gradient of a 3x3 window in Winograd's domain, over the Vec of the file that includes this: the derivative
// of the forward algorithm F(4x4, 3x3) with respect to the weight, 36 products per tile of 4 x 4 pixels instead of 144,
//   p = G^T [ sum over tiles of (A b A^T) * (B^T a B) ] G,    windows with depth one slice at a time.
// Matrices and source: winograd_transforms.h.
// Against the direct tiles (AVX-512, one core of a busy machine): 1.6x at 16 to 32 channels (256x256: bound by memory),
// 1.7x to 2.3x from there on.
// - b's channels one vector at a time, so that u stays in L2, and all of a's: 10 to 25 % from 128 channels on
// - tried: fetching the next slab ahead (nothing), longer slabs (slower: they leave L2)
// Relative L2 error 0.8e-6 for 64 channels at 32x32, as the direct sum.
#include "kernels/convolution/weight_gradient/direct.h"
#include "kernels/convolution/winograd_transforms.h"

namespace {

constexpr int kPlanes = 36;
constexpr int64_t kTiles = 16;  // most tiles in a group

// Scratch: m [b vectors][kd][36][lanes][a vectors][lanes], v [slices + kd - 1][groups][a vectors][36][G][lanes], and of
// one vector of b's channels at a time u [slices][groups][36][G][lanes]. The G tiles of a group are multiplied in a
// row; the 36 planes of a group are one small piece of memory, a line more than a multiple of the cache sets apart.
struct Layout {
  int64_t columns, count;  // tiles in a row of them, and in a slice of the slab
  int64_t groups, group;
  int64_t vectors, plane, u_group, v_group, m_plane;
};

Layout layout_of(const CorrelationDims& d, const Slab& s) {
  Layout l{};
  l.columns = ceil_div(d.w, 4);
  l.count = ceil_div(s.rows, 4) * l.columns;
  l.groups = ceil_div(l.count, kTiles);
  l.group = ceil_div(l.count, l.groups);
  l.vectors = vectors_of(d);
  l.plane = l.group * lanes + 16;
  l.u_group = kPlanes * l.plane;
  l.v_group = l.vectors * l.u_group;
  l.m_plane = lanes * l.vectors * lanes + 16;
  return l;
}

// One vector of channels of the pixels of a tile; whole: all are in the image and all channels live, else some are
// zeros.
template <bool whole>
struct Pixels {
  const float* data;  // of pixel (y, x)
  int64_t ld, h, w, y, x, live;

  T at(int64_t r, int64_t c) const {
    if constexpr (whole) return Vec::load(data + (r * w + c) * ld);
    if (y + r < 0 || y + r >= h || x + c < 0 || x + c >= w) return Vec::zero();
    return Vec::load(data + (r * w + c) * ld, live);
  }
};

// v = B^T a B of 6 x 6 pixels, to 36 planes.
template <bool whole>
[[gnu::noinline]] void tile_a(const Pixels<whole>& pixels, float* v, int64_t plane) {
  T t[6][6];
  LGMS_UNROLL
  for (int c = 0; c < 6; ++c) {
    T column[6];
    LGMS_UNROLL
    for (int r = 0; r < 6; ++r) column[r] = pixels.at(r, c);
    times_bt(column, 1);
    LGMS_UNROLL
    for (int r = 0; r < 6; ++r) t[r][c] = column[r];
  }
  LGMS_UNROLL
  for (int r = 0; r < 6; ++r) {
    times_bt(t[r], 1);
    LGMS_UNROLL
    for (int c = 0; c < 6; ++c) Vec::store(v + (r * 6 + c) * plane, t[r][c]);
  }
}

// u = A b A^T of 4 x 4 pixels, to 36 planes.
template <bool whole>
[[gnu::noinline]] void tile_b(const Pixels<whole>& pixels, float* u, int64_t plane) {
  T t[6][4];
  LGMS_UNROLL
  for (int c = 0; c < 4; ++c) {
    T column[4], out[6];
    LGMS_UNROLL
    for (int r = 0; r < 4; ++r) column[r] = pixels.at(r, c);
    times_a(column, out);
    LGMS_UNROLL
    for (int r = 0; r < 6; ++r) t[r][c] = out[r];
  }
  LGMS_UNROLL
  for (int r = 0; r < 6; ++r) {
    T out[6];
    times_a(t[r], out);
    LGMS_UNROLL
    for (int c = 0; c < 6; ++c) Vec::store(u + (r * 6 + c) * plane, out[c]);
  }
}

void zero_tile(float* to, int64_t plane) {
  for (int k = 0; k < kPlanes; ++k) Vec::store(to + k * plane, Vec::zero());
}

// All tiles of one vector of a group of tiles of one slice; slice: null outside of the image.
template <int K>
void transform_group(const CorrelationDims& d, const Slab& s, const Layout& l, const float* slice, int64_t ld,
                     int64_t live, int64_t first, float* to) {
  for (int64_t at = first; at < first + l.group; ++at, to += lanes) {
    if (!slice || at >= l.count) {
      zero_tile(to, l.plane);
      continue;
    }
    const int64_t border = K == 6, y = s.y + at / l.columns * 4 - border, x = at % l.columns * 4 - border;
    const float* const from = slice + (y * d.w + x) * ld;
    const bool whole = y >= 0 && x >= 0 && y + K <= d.h && x + K <= d.w && live == lanes;
    const Pixels<true> inside{from, ld, d.h, d.w, y, x, live};
    const Pixels<false> edge{from, ld, d.h, d.w, y, x, live};
    if constexpr (K == 6)
      whole ? tile_a(inside, to, l.plane) : tile_a(edge, to, l.plane);
    else
      whole ? tile_b(inside, to, l.plane) : tile_b(edge, to, l.plane);
  }
}

void transform_slab_a(const CorrelationDims& d, const Slab& s, const Layout& l, const float* a, float* v) {
  for (int64_t z = s.z - d.kd / 2; z < s.z + s.slices + d.kd / 2; ++z)
    for (int64_t g = 0; g < l.groups; ++g)
      for (int64_t i = 0; i < d.ca; i += lanes, v += l.u_group) {
        const float* slice = z < 0 || z >= d.d ? nullptr : a + (s.n * d.d + z) * d.h * d.w * d.lda + i;
        transform_group<6>(d, s, l, slice, d.lda, least(lanes, d.ca - i), g * l.group, v);
      }
}

// live: channels of the one vector at b.
void transform_slab_b(const CorrelationDims& d, const Slab& s, const Layout& l, const float* b, int64_t live,
                      float* u) {
  for (int64_t z = s.z; z < s.z + s.slices; ++z)
    for (int64_t g = 0; g < l.groups; ++g, u += l.u_group)
      transform_group<4>(d, s, l, b + (s.n * d.d + z) * d.h * d.w * d.ldb, d.ldb, live, g * l.group, u);
}

// m[j][i] += sum over the tiles of u[j] * v[i], for `live` channels j, in all planes.
void multiply(const CorrelationDims& d, const Slab& s, const Layout& l, int64_t live, const float* u, const float* v,
              float* m) {
  Ahead nothing{};  // fetching pixels ahead gains nothing here
  for (int64_t tz = 0; tz < d.kd; ++tz, v += l.groups * l.v_group)
    for (int k = 0; k < kPlanes; ++k, m += l.m_plane)
      for (int64_t i = 0, step = 0; i < l.vectors; i += step) {
        step = together(l.vectors - i);
        tiles(step, {v + i * l.u_group + k * l.plane, l.u_group, lanes, l.v_group},
              {u + k * l.plane, kJ, lanes, l.u_group}, live, s.slices * l.groups, l.group,
              {m + i * lanes, lanes, l.vectors * lanes}, nothing);
      }
}

// p = G^T m G for `live` channels j: 36 planes to 9 taps, for every slice of the window.
void back(const CorrelationDims& d, const Layout& l, int64_t live, const float* m, float* p) {
  for (int64_t tz = 0; tz < d.kd; ++tz, m += kPlanes * l.m_plane, p += 9 * d.cb * d.ldp)
    for (int64_t at = 0; at < live * l.vectors; ++at) {
      T t[3][6];
      for (int c = 0; c < 6; ++c) {
        T column[6], out[3];
        for (int r = 0; r < 6; ++r) column[r] = Vec::load(m + (r * 6 + c) * l.m_plane + at * lanes);
        times_gt(column, out);
        for (int r = 0; r < 3; ++r) t[r][c] = out[r];
      }
      for (int r = 0; r < 3; ++r) {
        T out[3];
        times_gt(t[r], out);
        for (int c = 0; c < 3; ++c)
          Vec::store(p + ((r * 3 + c) * d.cb + at / l.vectors) * d.ldp + at % l.vectors * lanes, out[c]);
      }
    }
}

// Floats of m for one vector of b.
int64_t m_vector(const CorrelationDims& d, const Layout& l) { return d.kd * kPlanes * l.m_plane; }

int64_t correlation_winograd_scratch(const CorrelationDims& d) {
  const Slab s = lgms::kernels::correlation_slab(d, 0);
  const Layout l = layout_of(d, s);
  return ceil_div(d.cb, lanes) * m_vector(d, l) +
         (l.groups + 1) * (s.slices * l.u_group + (s.slices + d.kd - 1) * l.v_group);
}

void correlation_winograd(const CorrelationDims& d, int64_t first, int64_t last, const float* a, const float* b,
                          const CorrelationSums<float>& to, float* m) {
  const Layout most = layout_of(d, lgms::kernels::correlation_slab(d, 0));
  const int64_t step = m_vector(d, most), m_size = ceil_div(d.cb, lanes) * step;
  float* const v = m + m_size;
  zero(m, m_size);
  for (int64_t unit = first; unit < last; ++unit) {
    const Slab s = lgms::kernels::correlation_slab(d, unit);
    const Layout l = layout_of(d, s);
    float* const u = v + (s.slices + d.kd - 1) * l.groups * l.v_group;
    transform_slab_a(d, s, l, a, v);
    for (int64_t j = 0; j < d.cb; j += lanes) {
      transform_slab_b(d, s, l, b + j, least(lanes, d.cb - j), u);
      multiply(d, s, l, least(lanes, d.cb - j), u, v, m + j / lanes * step);
    }
    for (int64_t z = s.z; z < s.z + s.slices; ++z) {
      const int64_t at = ((s.n * d.d + z) * d.h + s.y) * d.w;
      if (to.sum_a) sum_pixels(a + at * d.lda, s.rows * d.w, d.lda, d.ca, to.sum_a);
      if (to.sum_b) sum_pixels(b + at * d.ldb, s.rows * d.w, d.ldb, d.cb, to.sum_b);
    }
  }
  for (int64_t j = 0; j < d.cb; j += lanes)
    back(d, most, least(lanes, d.cb - j), m + j / lanes * step, to.p + j * d.ldp);
}

}  // namespace

namespace lgms::kernels {

int64_t LGMS_ROW(correlation_scratch)(const CorrelationDims& d) { return correlation_scratch(d); }
int64_t LGMS_ROW(correlation_winograd_scratch)(const CorrelationDims& d) { return correlation_winograd_scratch(d); }

void LGMS_ROW(correlation)(const CorrelationDims& d, int64_t first, int64_t last, const float* a, const float* b,
                           const CorrelationSums<float>& to, float* scratch) {
  correlation(d, first, last, a, b, to, scratch);
}

void LGMS_ROW(correlation_winograd)(const CorrelationDims& d, int64_t first, int64_t last, const float* a,
                                    const float* b, const CorrelationSums<float>& to, float* scratch) {
  correlation_winograd(d, first, last, a, b, to, scratch);
}

}  // namespace lgms::kernels
