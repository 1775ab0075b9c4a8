// As avx512_pointwise.cpp, 4 pixels x 2 vectors of four: 26 GFLOP/s with SSE2.
#include "kernels/convolution/vector_generic.h"
//
#include "kernels/convolution/pointwise_loops.h"

namespace lgms::kernels {
namespace {

constexpr Width widths[] = {{2, 4, products<4, 2>, products<1, 2>}, {1, 8, products<8, 1>, products<1, 1>}};

}  // namespace

void convolution_pointwise_generic(const ConvolutionDims& d, int64_t first, int64_t last, const float* x,
                                   const float* packed, const float* bias, float* y, float*) {
  pointwise_units(d, first, last, x, packed, bias, y, widths);
}

}  // namespace lgms::kernels
