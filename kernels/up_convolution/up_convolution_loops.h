#pragma once
// Over the Vec of the file that includes this, in float32.
#include "kernels/convolution/forward/products.h"
#include "kernels/up_convolution/walk.h"

namespace lgms::kernels {

void LGMS_ROW(up_convolution)(const UpConvolutionDims& d, int64_t first, int64_t last, const float* x,
                              const float* packed, const Fusing<float>& fusing, float* y, float* scratch) {
  const long outputs = d.taps() * d.cout, vectors = (outputs + Vec::lanes - 1) / Vec::lanes;
  const ConvolutionDims line = up_convolution_mixing(d);
  const auto mix = [&](const float* row, float* mixed) {
    for (long v = 0; v < vectors;) {
      const ::Width& width = ::width_of(vectors - v);
      ::multiply(width, line, d.w, row, packed + v * d.cin * Vec::lanes, nullptr, outputs - v * Vec::lanes,
                 mixed + v * Vec::lanes);
      v += width.vectors;
    }
  };
  for (int64_t unit = first; unit < last; ++unit) {
    const UpConvolutionUnit u = up_convolution_unit(d, unit);
    ::UpWalk(d, u, mix, fusing, unit, y, scratch).run(x);
  }
}

}  // namespace lgms::kernels
