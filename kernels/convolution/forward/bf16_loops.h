#pragma once
// The convolution in bfloat16 over the Vec and the instructions of the file that includes this (simd/avx512bf16.h).
#include "kernels/activation/finish.h"
#include "kernels/convolution/forward/bf16_products.h"
#include "kernels/simd/lanes.h"

namespace {

using lgms::kernels::Bf16Cut;
using lgms::kernels::ConvolutionDims;

// Channels of one group, of `pixels` pixels from `pixel` on, read through what is to be done to them; as floats they
// are in `floats` for a while.
void narrow_through(const ConvolutionDims& d, const StridedEpilogue& prologue, const float* x, long first, long c,
                    long pixel, long pixels, float* floats, Bf16* to) {
  StridedEpilogue e = prologue;
  if (e.norm.data) e.norm.data += pixel / d.w * 3 * d.cin;
  for (long p = 0; p < pixels; p += kBf16Pixels) {
    const long n = pixels - p < kBf16Pixels ? pixels - p : kBf16Pixels;
    over_lanes(c, [&](long i, auto how) {
      for (long q = 0; q < n; ++q) how.store(floats + q * c + i, how.load(x + (pixel + p + q) * d.ldx + first + i));
      finish(e, first + i, how.n, pixel + p, n, floats + i, c);
    });
    narrow(floats, n * c, to + p * c);
  }
}

template <class Products>
void bf16_units(const Bf16Cut& c, long first, long last, const float* x, const float* packed,
                const lgms::kernels::Fusing<float>& fusing, float* y, float* scratch) {
  const ConvolutionDims& d = c.d;
  const bool through = lgms::kernels::finishes(fusing.prologue);
  const Finisher finisher(fusing, d.cout, d.w);
  const long cout = d.cout / d.groups, vectors = (cout + kBf16Outputs - 1) / kBf16Outputs;
  const long plane = c.strip_plane(), row = c.line * c.cin, vector = c.steps() * kBf16Depth * kBf16Outputs;
  const Bf16* const weights = reinterpret_cast<const Bf16*>(packed);
  float* const floats = scratch;  // of pixels that are read through something
  Bf16* const strip = reinterpret_cast<Bf16*>(scratch + kBf16Pixels * c.cin + 15 - (kBf16Pixels * c.cin + 15) % 16);
  for (long i = 0; i < c.slack(); ++i) strip[c.strip() + i] = 0;
  Products::begin();
  for (long u = first; u < last; ++u) {
    const long g = u % d.groups, s = u / d.groups;  // groups of the same pixels share cache lines
    const long w0 = s % c.columns * c.tw, h0 = s / c.columns % c.rows * c.th,
               z0 = s / c.columns / c.rows % c.slabs * c.planes, n = s / c.columns / c.rows / c.slabs;
    const long planes = d.d - z0 < c.planes ? d.d - z0 : c.planes, th = d.h - h0 < c.th ? d.h - h0 : c.th,
               tw = d.w - w0 < c.tw ? d.w - w0 : c.tw;
    // Columns [left, left + line) of x, of which [from, end) are in the image.
    const long left = w0 - d.kw / 2, from = left < 0 ? 0 : left, end = left + c.line < d.w ? left + c.line : d.w;
    for (long z = 0; z < planes + d.kd - 1; ++z) {
      for (long r = 0; r < th + d.kh - 1; ++r) {
        Bf16* const to = strip + z * plane + r * row;
        const long zz = z0 + z - d.kd / 2, h = h0 + r - d.kh / 2;
        const bool inside = zz >= 0 && zz < d.d && h >= 0 && h < d.h;
        const long before = inside ? (from - left) * c.cin : 0, after = inside ? (end - left) * c.cin : 0;
        for (long i = 0; i < before; ++i) to[i] = 0;
        for (long i = after; i < row; ++i) to[i] = 0;
        if (!inside) continue;
        const long pixel = ((n * d.d + zz) * d.h + h) * d.w + from;
        if (through)
          narrow_through(d, fusing.prologue, x, g * c.cin, c.cin, pixel, end - from, floats, to);
        else
          narrow(x + pixel * d.ldx + g * c.cin, d.ldx, c.cin, end - from, to + before);
      }
      // What a piece of a run reads behind the last one is multiplied by 0: it may not be what memory held before.
      Bf16* const behind = strip + z * plane + (th + d.kh - 1) * row;
      for (long i = 0; i < kBf16Depth; ++i) behind[i] = 0;
    }
    for (long v = 0; v < vectors; v += 2) {
      const long channel = g * cout + v * kBf16Outputs, live = cout - v * kBf16Outputs;
      alignas(64) float bias[2 * kBf16Outputs] = {};
      for (long o = 0; fusing.epilogue.bias.data && o < 2 * kBf16Outputs && o < live; ++o)
        bias[o] = fusing.epilogue.bias.data[channel + o];
      for (long z = 0; z < planes; ++z)
        for (long r = 0; r < th; ++r)
          for (long p = 0; p < tw; p += kBf16Pixels) {
            const long pixels = tw - p < kBf16Pixels ? tw - p : kBf16Pixels,
                       pixel = ((n * d.d + z0 + z) * d.h + h0 + r) * d.w + w0 + p;
            float* const to = y + pixel * d.ldy + channel;
            Products::multiply({strip + z * plane + r * row + p * c.cin, weights + (g * vectors + v) * vector, c.cin,
                                d.kw * c.cin, d.kd, d.kh, c.pieces, row, plane, vector},
                               bias, pixels, live, to, d.ldy);
            for (long o = 0; o < 2 * kBf16Outputs && o < live; o += Vec::lanes)
              finisher(s, z == 0 && r == 0 && p == 0, channel + o, live - o, pixel, {to + o, 1, pixels, d.ldy, 0});
          }
    }
  }
  Products::end();
}

}  // namespace

namespace lgms::kernels {

void LGMS_ROW(convolution_bf16_pairs)(const ConvolutionDims& d, int64_t first, int64_t last, const float* x,
                                      const float* packed, const Fusing<float>& fusing, float* y, float* scratch) {
  ::bf16_units<ByPairs>(bf16_cut(d), first, last, x, packed, fusing, y, scratch);
}
void LGMS_ROW(convolution_bf16_tiles)(const ConvolutionDims& d, int64_t first, int64_t last, const float* x,
                                      const float* packed, const Fusing<float>& fusing, float* y, float* scratch) {
  ::bf16_units<ByTiles>(bf16_cut(d), first, last, x, packed, fusing, y, scratch);
}

}  // namespace lgms::kernels
