// As avx512_pointwise.cpp, 6 pixels x 2 vectors: 82 of 95 GFLOP/s.
#include "kernels/convolution/vector_avx2.h"
//
#include "kernels/convolution/pointwise_loops.h"

namespace lgms::kernels {
namespace {

constexpr Width widths[] = {{2, 6, products<6, 2>, products<1, 2>}, {1, 12, products<12, 1>, products<1, 1>}};

}  // namespace

void convolution_pointwise_avx2(const ConvolutionDims& d, int64_t first, int64_t last, const float* x,
                                const float* packed, const float* bias, float* y, float*) {
  pointwise_units(d, first, last, x, packed, bias, y, widths);
}

}  // namespace lgms::kernels
