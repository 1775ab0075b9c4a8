#pragma once
// Over the Vec and the instructions of the file that includes this (simd/avx512bf16.h): channels are mixed in bfloat16.
#include "kernels/convolution/forward/bf16_products.h"
#include "kernels/up_convolution/walk.h"

namespace {

template <class Products>
void bf16_rows(const UpDims& d, long first, long last, const float* x, const float* packed,
               const lgms::kernels::Fusing<float>& fusing, float* y, float* scratch) {
  const lgms::kernels::Bf16Cut c = lgms::kernels::bf16_cut(lgms::kernels::up_convolution_mixing(d));
  const long outputs = d.taps() * d.cout, vector = c.steps() * kBf16Depth * kBf16Outputs;
  const Bf16* const weights = reinterpret_cast<const Bf16*>(packed);
  Bf16* const strip = reinterpret_cast<Bf16*>(scratch + lgms::kernels::up_convolution_scratch(d));
  for (long i = 0; i < c.slack(); ++i) strip[d.w * d.cin + i] = 0;
  const auto mix = [&](const float* row, float* mixed) {
    constexpr float zeros[2 * kBf16Outputs] = {};
    narrow(row, d.ldx, d.cin, d.w, strip);
    for (long o = 0; o < outputs; o += 2 * kBf16Outputs)
      for (long p = 0; p < d.w; p += kBf16Pixels)
        Products::multiply(
            {strip + p * d.cin, weights + o / kBf16Outputs * vector, d.cin, d.cin, 1, 1, c.pieces, 0, 0, vector}, zeros,
            d.w - p < kBf16Pixels ? d.w - p : kBf16Pixels, outputs - o, mixed + p * outputs + o, outputs);
  };
  Products::begin();
  for (long unit = first; unit < last; ++unit) {
    const lgms::kernels::UpConvolutionUnit u = lgms::kernels::up_convolution_unit(d, unit);
    UpWalk(d, u, mix, fusing, unit, y, scratch).run(x);
  }
  Products::end();
}

}  // namespace

namespace lgms::kernels {

void LGMS_ROW(up_convolution_bf16_pairs)(const UpConvolutionDims& d, int64_t first, int64_t last, const float* x,
                                         const float* packed, const Fusing<float>& fusing, float* y, float* scratch) {
  ::bf16_rows<::ByPairs>(d, first, last, x, packed, fusing, y, scratch);
}
void LGMS_ROW(up_convolution_bf16_tiles)(const UpConvolutionDims& d, int64_t first, int64_t last, const float* x,
                                         const float* packed, const Fusing<float>& fusing, float* y, float* scratch) {
  ::bf16_rows<::ByTiles>(d, first, last, x, packed, fusing, y, scratch);
}

}  // namespace lgms::kernels
