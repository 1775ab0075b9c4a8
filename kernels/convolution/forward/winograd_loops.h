#pragma once
// Winograd's convolution over the Vec of the file that includes this; anonymous for the same reason as direct_loops.h.
// A unit goes through V = B^T x B of its tiles, then for each pair of output vectors M = V U and y = A^T M A.
#include "kernels/activation/finish.h"
#include "kernels/convolution/forward/winograd.h"
#include "kernels/convolution/winograd_transforms.h"
#include "kernels/simd/lanes.h"

namespace {

using lgms::kernels::ConvolutionDims;
using lgms::kernels::WinogradCut;

using lgms::kernels::kSlotSlack;

constexpr long kBlock = 16;  // channels side by side in V
using T = Vec::T;

// Floats of the weights of `wide` vectors in one of the 36 planes, and a line, so that planes do not share cache sets.
long panel_size(const ConvolutionDims& d, long wide) { return d.kd * (d.cin / d.groups) * wide * Vec::lanes + kBlock; }
// The weights of a vector (of its pair, if it has a partner) of a group.
long panels_at(const ConvolutionDims& d, long g, long vector, long vectors) {
  const long group = vectors / 2 * panel_size(d, 2) + vectors % 2 * panel_size(d, 1);
  return 36 * (g * group + vector / 2 * panel_size(d, 2)) + (vector % 2) * Vec::lanes;
}

void pack_weights(const ConvolutionDims& d, long first, long last, const lgms::kernels::ConvolutionWeights<float>& w,
                  float* packed) {
  constexpr long lanes = Vec::lanes;
  const long cin = d.cin / d.groups, cout = d.cout / d.groups, vectors = (cout + lanes - 1) / lanes;
  for (long unit = first; unit < last; ++unit) {
    const long g = unit / vectors, vector = unit % vectors, wide = vector / 2 * 2 + 1 < vectors ? 2 : 1;
    const long left = cout - vector * lanes, live = left < lanes ? left : lanes, panel = panel_size(d, wide);
    const float* const from = w.data + g * w.group + vector * lanes * w.out;
    for (long row = 0; row < d.kd * cin; ++row) {  // kz, then i
      float* const to = packed + panels_at(d, g, vector, vectors) + row * wide * lanes;
      const float* const taps = from + row % cin * w.in + row / cin * 9 * w.tap;
      T columns[3][6];
      for (int x = 0; x < 3; ++x) {
        T weights[3];
        for (int y = 0; y < 3; ++y) weights[y] = Vec::gather(taps + (y * 3 + x) * w.tap, w.out, live);
        times_g(weights, columns[x]);
      }
      for (int y = 0; y < 6; ++y) {
        const T weights[3] = {columns[0][y], columns[1][y], columns[2][y]};
        T u[6];
        times_g(weights, u);
        for (int x = 0; x < 6; ++x) Vec::store(to + (y * 6 + x) * panel, u[x]);
      }
    }
  }
}

// V of 16 channels of one tile. source: its upper left input. Not inlined: that costs 70 % more time (registers).
[[gnu::noinline]] void transform_tile(const float* source, long row, long pixel, float* v, long v_plane) {
  for (long half = 0; half < kBlock; half += Vec::lanes) {
    T d[36];
    LGMS_UNROLL
    for (int x = 0; x < 6; ++x) {
      LGMS_UNROLL
      for (int y = 0; y < 6; ++y) d[y * 6 + x] = Vec::load(source + y * row + x * pixel + half);
      times_bt(d + x, 6);
    }
    LGMS_UNROLL
    for (int y = 0; y < 6; ++y) {
      times_bt(d + y * 6, 1);
      LGMS_UNROLL
      for (int x = 0; x < 6; ++x) Vec::store(v + (y * 6 + x) * v_plane + half, d[y * 6 + x]);
    }
  }
}

// The 6x6 inputs of a tile that reaches over the border, or of fewer than 16 channels, with zeros around them.
void gather_tile(const ConvolutionDims& d, const float* plane, long y0, long x0, long channels, float* tile) {
  for (long y = 0; y < 6; ++y)
    for (long x = 0; x < 6; ++x, tile += kBlock) {
      const bool inside = y0 + y >= 0 && y0 + y < d.h && x0 + x >= 0 && x0 + x < d.w;
      for (long l = 0; l < kBlock; l += Vec::lanes) {
        const long n = !inside || channels < l ? 0 : channels - l < Vec::lanes ? channels - l : Vec::lanes;
        Vec::store(tile + l, n > 0 ? Vec::load(plane + ((y0 + y) * d.w + x0 + x) * d.ldx + l, n) : Vec::zero());
      }
    }
}

struct Unit {
  long g, image, z0, planes, t0, tiles, first_vector, last_vector, block;
};

Unit unit_at(const WinogradCut& c, long u, long vectors) {
  Unit s;
  const long part = u % c.parts, pairs = (vectors + 1) / 2;
  s.first_vector = pairs * part / c.parts * 2;
  s.last_vector = pairs * (part + 1) / c.parts * 2;
  if (s.last_vector > vectors) s.last_vector = vectors;
  u /= c.parts;
  s.g = u % c.d.groups;  // groups of the same pixels share cache lines
  u /= c.d.groups;
  s.block = u;
  const long all = c.down * c.across * (c.d.kd == 1 ? c.d.n * c.d.d : 1), depth = c.d.kd == 1 ? 1 : c.d.d;
  s.t0 = u % c.strips * c.tiles;
  s.tiles = all - s.t0 < c.tiles ? all - s.t0 : c.tiles;
  u /= c.strips;
  s.z0 = u % c.slabs * c.planes;
  s.planes = depth - s.z0 < c.planes ? depth - s.z0 : c.planes;
  s.image = u / c.slabs;
  return s;
}

// A tile: its image plane, and its place in the grid of tiles.
struct Place {
  long plane, y, x;
  void next(const WinogradCut& c) {
    if (++x < c.across) return;
    x = 0;
    if (++y < c.down) return;
    y = 0;
    ++plane;
  }
};
// The first tile of a unit in plane z.
Place place_at(const WinogradCut& c, const Unit& s, long z) {
  const long per_plane = c.down * c.across, t = s.t0 % per_plane;
  return {c.d.kd == 1 ? s.t0 / per_plane : s.image * c.d.d + z, t / c.across, t % c.across};
}

// V[36][channels / 16][slot][16] of the inputs [first, last) of the group; slots: tiles of plane z0 - kd / 2, then of
// the next plane, ...
void input_tiles(const WinogradCut& c, const Unit& s, long first, long last, const float* x, float* v) {
  const ConvolutionDims& d = c.d;
  const long padded = (s.planes + d.kd - 1) * s.tiles + kSlotSlack;
  alignas(64) float border[36 * kBlock];
  for (long q = 0; q < s.planes + d.kd - 1; ++q) {
    const long z = s.z0 + q - d.kd / 2;
    const bool absent = d.kd > 1 && (z < 0 || z >= d.d);
    Place at = place_at(c, s, z);
    for (long t = 0; t < s.tiles; ++t, at.next(c)) {
      const long y0 = at.y * 4 - 1, x0 = at.x * 4 - 1;
      const bool inside = y0 >= 0 && x0 >= 0 && y0 + 6 <= d.h && x0 + 6 <= d.w;
      const float* const source = x + at.plane * d.h * d.w * d.ldx + s.g * (d.cin / d.groups);
      for (long i = first; i < last; i += kBlock) {
        float* const to = v + ((i - first) * padded + (q * s.tiles + t) * kBlock);
        if (absent) {
          for (long k = 0; k < 36; ++k)
            for (long l = 0; l < kBlock; l += Vec::lanes) Vec::store(to + k * c.v_plane + l, Vec::zero());
        } else if (inside && last - i >= kBlock) {
          transform_tile(source + (y0 * d.w + x0) * d.ldx + i, d.w * d.ldx, d.ldx, to, c.v_plane);
        } else {
          gather_tile(d, source + i, y0, x0, last - i, border);
          transform_tile(border, 6 * kBlock, kBlock, to, c.v_plane);
        }
      }
    }
  }
}

// M = V U, or M += V U where add, of PX slots and OV vectors in one of the 36 planes. channels: inputs of this turn, of
// cin. Every 32 inputs are summed by themselves: relative L2 error 1.0e-6 -> 0.6e-6 of 128 inputs, 1.7e-6 -> 0.6e-6 of
// 384.
template <int PX, int OV>
[[gnu::noinline]] void product(const float* v, long block, long next_plane, long kd, long channels, long cin,
                               const float* u, bool add, float* m) {
  const long panel = kd * cin * OV * Vec::lanes + kBlock;
  for (long kz = 0; kz < kd; ++kz, v += next_plane, u += (cin - channels) * OV * Vec::lanes)
    for (long i0 = 0; i0 < channels;) {
      T sum[PX][OV];
      LGMS_UNROLL
      for (int p = 0; p < PX; ++p) LGMS_UNROLL
      for (int o = 0; o < OV; ++o) sum[p][o] = Vec::zero();
      for (const long end = i0 + 2 * kBlock; i0 < end && i0 < channels; i0 += kBlock) {
        const float* const source = v + i0 / kBlock * block;
        const long n = channels - i0 < kBlock ? channels - i0 : kBlock;
        for (long i = 0; i < n; ++i, u += OV * Vec::lanes) {
          T w[OV];
          LGMS_UNROLL
          for (int o = 0; o < OV; ++o) {
            w[o] = Vec::load(u + o * Vec::lanes);
            __builtin_prefetch(u + panel + o * Vec::lanes);  // the next plane's: 3 to 10 % from 128 channels on
          }
          LGMS_UNROLL
          for (int p = 0; p < PX; ++p) {
            const T in = Vec::set1(source[p * kBlock + i]);
            LGMS_UNROLL
            for (int o = 0; o < OV; ++o) sum[p][o] = Vec::fma(in, w[o], sum[p][o]);
          }
        }
      }
      LGMS_UNROLL
      for (int p = 0; p < PX; ++p) LGMS_UNROLL
      for (int o = 0; o < OV; ++o) {
        float* const to = m + (p * OV + o) * Vec::lanes;
        Vec::store(to, add ? Vec::add(Vec::load(to), sum[p][o]) : sum[p][o]);
      }
      add = true;
    }
}

// y of one vector of one tile; rows, columns: how many of its 4x4 outputs there are; live: channels.
[[gnu::noinline]] void output_tile(const float* m, long m_plane, const T bias, float* y, long row, long pixel,
                                   long rows, long columns, long live) {
  T z[4][6];
  LGMS_UNROLL
  for (int x = 0; x < 6; ++x) {
    T column[6], o[4];
    LGMS_UNROLL
    for (int k = 0; k < 6; ++k) column[k] = Vec::load(m + (k * 6 + x) * m_plane);
    times_at(column, o);
    LGMS_UNROLL
    for (int k = 0; k < 4; ++k) z[k][x] = o[k];
  }
  LGMS_UNROLL
  for (int k = 0; k < 4; ++k) {
    if (k >= rows) break;
    T o[4];
    times_at(z[k], o);
    LGMS_UNROLL
    for (int x = 0; x < 4; ++x)
      if (x < columns) {
        if (live >= Vec::lanes)
          Vec::store(y + k * row + x * pixel, Vec::add(o[x], bias));
        else
          Vec::store(y + k * row + x * pixel, Vec::add(o[x], bias), live);
      }
  }
}

// Register tiles of OV vectors, by falling number of slots.
template <int OV, int... widths>
struct Products {
  static constexpr long count = sizeof...(widths), slots[] = {widths...};
  static constexpr decltype(&product<1, 1>) run[] = {product<widths, OV>...};
  static_assert(((widths <= kSlotSlack) && ...));
};
using Single = ByLanes<Products<1, 24, 16, 8, 4>, Products<1, 12, 8, 4>, Products<1, 12, 8, 4>>;
using Pair = ByLanes<Products<2, 12, 8, 4>, Products<2, 6, 4, 2>, Products<2, 6, 4, 2>>;

// M of one pair (or the last single one) of vectors, all slots; panel: from a plane's weights to the next one's.
template <class Products>
void products(const WinogradCut& c, const float* v, long block, long next_plane, long channels, const float* u,
              long panel, bool add, float* m, long slots, long wide) {
  for (long k = 0; k < 36; ++k, v += c.v_plane, u += panel, m += c.m_plane)
    for (long p = 0; p < slots;) {
      long size = 0;
      while (size + 1 < Products::count && Products::slots[size + 1] >= slots - p) ++size;
      Products::run[size](v + p * kBlock, block, next_plane, c.d.kd, channels, c.d.cin / c.d.groups, u, add,
                          m + p * wide * Vec::lanes);
      p += Products::slots[size];
    }
}

// y of one pair (or the last single one) of vectors in all tiles of a unit.
void output_tiles(const WinogradCut& c, const Unit& s, long vector, long wide, const float* m, const float* bias,
                  const Finisher& finisher, float* y) {
  const ConvolutionDims& d = c.d;
  const long cout = d.cout / d.groups;
  for (long q = 0; q < s.planes; ++q) {
    Place at = place_at(c, s, s.z0 + q);
    for (long t = 0; t < s.tiles; ++t, at.next(c))
      for (long o = 0; o < wide; ++o, m += Vec::lanes) {
        const long first = (vector + o) * Vec::lanes, live = cout - first, channel = s.g * cout + first;
        const long h = at.y * 4, w = at.x * 4, pixel = (at.plane * d.h + h) * d.w + w;
        const long rows = d.h - h < 4 ? d.h - h : 4, columns = d.w - w < 4 ? d.w - w : 4;
        float* const to = y + pixel * d.ldy + channel;
        output_tile(m, c.m_plane, bias ? Vec::load(bias + channel, live < Vec::lanes ? live : Vec::lanes) : Vec::zero(),
                    to, d.w * d.ldy, d.ldy, rows, columns, live);
        finisher(s.block, q == 0 && t == 0, channel, live, pixel, {to, rows, columns, d.ldy, d.w * d.ldy});
      }
  }
}

void winograd_units(const WinogradCut& c, long first, long last, const float* x, const float* packed,
                    const lgms::kernels::Fusing<float>& fusing, float* y, float* scratch) {
  constexpr long lanes = Vec::lanes;
  const ConvolutionDims& d = c.d;
  const Finisher finisher(fusing, d.cout, d.w);
  const long cin = d.cin / d.groups, cout = d.cout / d.groups, vectors = (cout + lanes - 1) / lanes;
  float* const v = scratch;
  for (long u = first; u < last; ++u) {
    const Unit s = unit_at(c, u, vectors);
    const long block = ((s.planes + d.kd - 1) * s.tiles + kSlotSlack) * kBlock, outputs = s.planes * s.tiles;
    for (long i = 0; i < cin; i += c.channels) {
      const long end = cin - i < c.channels ? cin : i + c.channels;
      input_tiles(c, s, i, end, x, v);
      for (long vector = s.first_vector; vector < s.last_vector; vector += 2) {
        const long wide = vector + 1 < vectors ? 2 : 1;
        const float* const weights = packed + panels_at(d, s.g, vector, vectors) + i * wide * lanes;
        float* const m = scratch + 36 * c.v_plane + (vector - s.first_vector) / 2 * c.m_pair;
        const auto run = wide == 2 ? products<Pair> : products<Single>;
        run(c, v, block, s.tiles * kBlock, end - i, weights, panel_size(d, wide), i > 0, m, outputs, wide);
        if (end == cin) output_tiles(c, s, vector, wide, m, fusing.epilogue.bias.data, finisher, y);
      }
    }
  }
}

}  // namespace

namespace lgms::kernels {

void LGMS_ROW(winograd_pack)(const ConvolutionDims& d, int64_t first, int64_t last, const ConvolutionWeights<float>& w,
                             float* packed) {
  pack_weights(d, first, last, w, packed);
}

void LGMS_ROW(convolution_winograd)(const ConvolutionDims& d, int64_t first, int64_t last, const float* x,
                                    const float* packed, const Fusing<float>& fusing, float* y, float* scratch) {
  ::winograd_units(winograd_cut(d), first, last, x, packed, fusing, y, scratch);
}

}  // namespace lgms::kernels
