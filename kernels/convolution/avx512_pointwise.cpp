// 64 -> 128 at 128x128 on one Sapphire Rapids core (FMA peak 176 GFLOP/s), from reference.h (11 GFLOP/s) to here (158):
//   packed weights, sums of a tile in registers, pixels copied to a strip: 114
//   x read where it is, 6 pixels x 4 vectors (10 loads for 24 FMAs): 158; what is left is memory (256 -> 64 at 64x64:
//   164)
#include "kernels/convolution/vector_avx512.h"
//
#include "kernels/convolution/pointwise_loops.h"

namespace lgms::kernels {
namespace {

constexpr Width widths[] = {{4, 6, products<6, 4>, products<1, 4>},
                            {2, 12, products<12, 2>, products<1, 2>},
                            {1, 12, products<12, 1>, products<1, 1>}};

}  // namespace

void convolution_pointwise_avx512(const ConvolutionDims& d, int64_t first, int64_t last, const float* x,
                                  const float* packed, const float* bias, float* y, float*) {
  pointwise_units(d, first, last, x, packed, bias, y, widths);
}

}  // namespace lgms::kernels
