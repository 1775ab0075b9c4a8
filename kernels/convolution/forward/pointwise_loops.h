#pragma once
// The 1x1 convolution over the Vec of the file that includes this, straight from x: a matrix product whose left operand
// needs no copy. Anonymous for the same reason as direct_loops.h. A unit is a block of pixels of all groups.
#include "kernels/activation/finish.h"
#include "kernels/convolution/forward/products.h"
#include "kernels/simd/lanes.h"

namespace {

using lgms::kernels::kPointwisePixels;

// x of `pixels` pixels from the image's tables on, in scratch.
void read_through(const ConvolutionDims& d, const StridedEpilogue& prologue, const float* x, long pixel, long pixels,
                  float* scratch) {
  StridedEpilogue e = prologue;
  if (e.norm.data) e.norm.data += pixel / (d.d * d.h * d.w) * 3 * d.cin;
  x += pixel * d.ldx;
  over_lanes(d.cin, [&](long c, auto how) {
    for (long p = 0; p < pixels; ++p) how.store(scratch + p * d.cin + c, how.load(x + p * d.ldx + c));
    finish(e, c, how.n, pixel, pixels, scratch + c, d.cin);
  });
}

void pointwise_units(const ConvolutionDims& d, long first, long last, const float* x, const float* packed,
                     const lgms::kernels::Fusing<float>& fusing, float* y, float* scratch) {
  constexpr long lanes = Vec::lanes;
  const long cin = d.cin / d.groups, cout = d.cout / d.groups, vectors = (cout + lanes - 1) / lanes;
  const long image = d.d * d.h * d.w, block = lgms::kernels::pointwise_block(d), blocks = (image + block - 1) / block;
  const bool copies = lgms::kernels::finishes(fusing.prologue);
  const Finisher finisher(fusing, d.cout, 0);
  ConvolutionDims read = d;
  if (copies) read.ldx = d.cin;
  for (long u = first; u < last; ++u) {
    const long start = u / blocks * image, from = start + u % blocks * block,
               until = u % blocks + 1 < blocks ? from + block : start + image;
    for (long begin = from; begin < until; begin += kPointwisePixels) {
      const long end = until - begin < kPointwisePixels ? until : begin + kPointwisePixels;
      if (copies) read_through(d, fusing.prologue, x, begin, end - begin, scratch);
      const float* const source = copies ? scratch : x + begin * d.ldx;
      for (long g = 0; g < d.groups; ++g)
        for (long v = 0; v < vectors;) {
          const Width& width = width_of(vectors - v);
          const float* const weights = packed + (g * vectors + v) * cin * lanes;
          const long channel = g * cout + v * lanes;
          const float* const bias = fusing.epilogue.bias.data ? fusing.epilogue.bias.data + channel : nullptr;
          multiply(width, read, end - begin, source + g * cin, weights, bias, cout - v * lanes,
                   y + begin * d.ldy + channel);
          if (d.cout > lanes || end == until) {  // few channels: the unit is in L1
            const long p = d.cout > lanes ? begin : from;
            for (long o = 0; o < width.vectors; ++o)
              finisher(u, p == from, channel + o * lanes, cout - (v + o) * lanes, p,
                       {y + p * d.ldy + channel + o * lanes, 1, end - p, d.ldy, 0});
          }
          v += width.vectors;
        }
    }
  }
}

}  // namespace

namespace lgms::kernels {

void LGMS_ROW(convolution_pointwise)(const ConvolutionDims& d, int64_t first, int64_t last, const float* x,
                                     const float* packed, const Fusing<float>& fusing, float* y, float* scratch) {
  ::pointwise_units(d, first, last, x, packed, fusing, y, scratch);
}

}  // namespace lgms::kernels
