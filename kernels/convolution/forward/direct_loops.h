#pragma once
// The direct convolution over the Vec of the file that includes this. All in an anonymous namespace: every ISA file has
// its own copy, and none can take another's place.
#include "kernels/activation/finish.h"
#include "kernels/convolution/forward/direct.h"
#include "kernels/simd/lanes.h"

namespace {

using lgms::kernels::ConvolutionDims;
using lgms::kernels::DirectCut;
using lgms::kernels::kStripChannels;

// A row of a strip: `zeros` pixels of 0, then `pixels` pixels from x, then 0 up to the end of the line.
void fill_line(const DirectCut& c, long cin, long block, const float* x, long zeros, long pixels, float* line) {
  for (long i = 0; i < cin; i += kStripChannels, line += block)
    for (long l = 0; l < kStripChannels; l += Vec::lanes) {
      const long left = cin - i - l, live = left < 0 ? 0 : left < Vec::lanes ? left : Vec::lanes;
      float* to = line + l;
      for (long p = 0; p < zeros; ++p, to += kStripChannels) Vec::store(to, Vec::zero());
      const float* from = x + i + l;
      if (live == Vec::lanes)
        for (long p = 0; p < pixels; ++p, to += kStripChannels, from += c.d.ldx) Vec::store(to, Vec::load(from));
      else
        for (long p = 0; p < pixels; ++p, to += kStripChannels, from += c.d.ldx)
          Vec::store(to, live > 0 ? Vec::load(from, live) : Vec::zero());
      for (long p = zeros + pixels; p < c.line; ++p, to += kStripChannels) Vec::store(to, Vec::zero());
    }
}

// One group's input around th x tw outputs at (n, z, h0, w0), zeros outside the image.
void fill_strip(const DirectCut& c, long g, long n, long z, long h0, long w0, const float* x, float* strip) {
  const ConvolutionDims& d = c.d;
  const long cin = d.cin / d.groups, rows = c.th + d.kh - 1, block = d.kd * rows * c.line * kStripChannels;
  const long left = w0 - d.kw / 2, from = left < 0 ? 0 : left, end = left + c.line < d.w ? left + c.line : d.w;
  for (long kz = 0; kz < d.kd; ++kz)
    for (long r = 0; r < rows; ++r, strip += c.line * kStripChannels) {
      const long zz = z + kz - d.kd / 2, h = h0 + r - d.kh / 2;
      if (zz >= 0 && zz < d.d && h >= 0 && h < d.h)
        fill_line(c, cin, block, x + (((n * d.d + zz) * d.h + h) * d.w + from) * d.ldx + g * cin, from - left,
                  end - from, strip);
      else
        fill_line(c, cin, block, x, c.line, 0, strip);
    }
}

// PX pixels of one vector of outputs. X neighbouring taps share each broadcast input: with X = 3, PX + 5 loads feed 3
// PX multiply-adds. Each slice of a window over 16 inputs is summed by itself: rounding errors of long sums shrink to
// 2/5 (of 128 inputs, relative L2: 4.8e-7 in one sum, 1.9e-7 in slices).
template <int PX, int X>
[[gnu::noinline]] void tile(const DirectCut& c, const float* strip, const float* weights, const float* bias, long live,
                            float* y, long pixels) {
  const ConvolutionDims& d = c.d;
  const long cin = d.cin / d.groups, line = c.line * kStripChannels, rows = c.th + d.kh - 1;
  const long outputs = live < Vec::lanes ? live : Vec::lanes;
  const long blocks = (cin + kStripChannels - 1) / kStripChannels * d.kd;
  const Vec::T start = bias ? Vec::load(bias, outputs) : Vec::zero();
  Vec::T sum[PX], total[PX];
  LGMS_UNROLL
  for (int p = 0; p < PX; ++p) sum[p] = Vec::zero(), total[p] = start;
  for (long b = 0;;) {
    const long i0 = b / d.kd * kStripChannels, channels = cin - i0 < kStripChannels ? cin - i0 : kStripChannels;
    for (long ky = 0; ky < d.kh; ++ky) {
      const float* source = strip + (b * rows + ky) * line;
      for (long kx = 0; kx < d.kw; kx += X, source += kStripChannels * X)
        for (long i = 0; i < channels; ++i, weights += X * Vec::lanes) {
          Vec::T w[X];
          LGMS_UNROLL
          for (int k = 0; k < X; ++k) w[k] = Vec::load(weights + k * Vec::lanes);
          LGMS_UNROLL
          for (int q = 0; q < PX + X - 1; ++q) {
            const Vec::T in = Vec::set1(source[q * kStripChannels + i]);
            LGMS_UNROLL
            for (int k = 0; k < X; ++k)
              if (q - k >= 0 && q - k < PX) sum[q - k] = Vec::fma(in, w[k], sum[q - k]);
          }
        }
    }
    if (++b == blocks) break;
    LGMS_UNROLL
    for (int p = 0; p < PX; ++p) total[p] = Vec::add(total[p], sum[p]), sum[p] = Vec::zero();
  }
  LGMS_UNROLL
  for (int p = 0; p < PX; ++p) sum[p] = Vec::add(blocks == 1 ? start : total[p], sum[p]);
  LGMS_UNROLL
  for (int p = 0; p < PX; ++p)
    if (p < pixels) {
      if (outputs == Vec::lanes)
        Vec::store(y + p * d.ldy, sum[p]);
      else
        Vec::store(y + p * d.ldy, sum[p], outputs);
    }
}

// Register tiles of X taps, by falling number of pixels.
template <int X, int... widths>
struct Tiles {
  static constexpr long count = sizeof...(widths), pixels[] = {widths...};
  static constexpr decltype(&tile<1, 1>) run[] = {tile<widths, X>...};
  static_assert(((widths <= lgms::kernels::kStripSlack) && ...));
};
// As many as registers hold: 32 of 16 lanes; 16 of 8, and of 4 lanes, whose products need a register of their own.
using Fused = ByLanes<Tiles<3, 24, 16, 8>, Tiles<3, 12, 8>, Tiles<3, 8>>;  // for kw = 3
using Single = ByLanes<Tiles<1, 24, 8>, Tiles<1, 12, 6>, Tiles<1, 8>>;     // for any other kw

// One vector of outputs of a unit: the widest tiles first, the narrowest that covers the rest last; what would leave
// next to nothing for the last is split more evenly.
template <class Tiles>
void rows_of(const DirectCut& c, long th, long tw, const float* strip, const float* weights, const float* bias,
             long channel, long live, const Finisher& finisher, long block, long pixel, float* y) {
  constexpr long count = Tiles::count;
  for (long r = 0; r < th; ++r)
    for (long p = 0; p < tw;) {
      long s = 0;
      while (s + 1 < count && Tiles::pixels[s + 1] >= tw - p) ++s;
      if (s == 0 && count > 1 && tw - p > Tiles::pixels[0] && tw - p <= Tiles::pixels[0] + Tiles::pixels[count - 1])
        s = 1;
      const long pixels = tw - p < Tiles::pixels[s] ? tw - p : Tiles::pixels[s];
      float* const to = y + (r * c.d.w + p) * c.d.ldy;
      Tiles::run[s](c, strip + (r * c.line + p) * kStripChannels, weights, bias, live, to, pixels);
      finisher(block, r == 0 && p == 0, channel, live, pixel + r * c.d.w + p, {to, 1, pixels, c.d.ldy, 0});
      p += pixels;
    }
}

void direct_units(const DirectCut& c, long first, long last, const float* x, const float* packed,
                  const lgms::kernels::Fusing<float>& fusing, float* y, float* scratch) {
  constexpr long lanes = Vec::lanes;
  const ConvolutionDims& d = c.d;
  const Finisher finisher(fusing, d.cout, d.w);
  const float* const bias = fusing.epilogue.bias.data;
  const long cout = d.cout / d.groups, vectors = (cout + lanes - 1) / lanes;
  const long vector = d.kd * d.kh * d.kw * (d.cin / d.groups) * lanes;
  for (long u = first; u < last; ++u) {
    const long g = u % d.groups, s = u / d.groups;  // groups of the same pixels share cache lines
    const long w0 = s % c.columns * c.tw, h0 = s / c.columns % c.rows * c.th, plane = s / c.columns / c.rows;
    const long z = plane % d.d, n = plane / d.d;
    const long th = d.h - h0 < c.th ? d.h - h0 : c.th, tw = d.w - w0 < c.tw ? d.w - w0 : c.tw;
    fill_strip(c, g, n, z, h0, w0, x, scratch);
    const long pixel = ((n * d.d + z) * d.h + h0) * d.w + w0;
    const auto rows = d.kw == 3 ? rows_of<Fused> : rows_of<Single>;
    for (long v = 0; v < vectors; ++v) {
      const long channel = g * cout + v * lanes;
      rows(c, th, tw, scratch, packed + (g * vectors + v) * vector, bias ? bias + channel : nullptr, channel,
           cout - v * lanes, finisher, s, pixel, y + pixel * d.ldy + channel);
    }
  }
}

}  // namespace

namespace lgms::kernels {

void LGMS_ROW(convolution_direct)(const ConvolutionDims& d, int64_t first, int64_t last, const float* x,
                                  const float* packed, const Fusing<float>& fusing, float* y, float* scratch) {
  ::direct_units(direct_cut(d), first, last, x, packed, fusing, y, scratch);
}

}  // namespace lgms::kernels
