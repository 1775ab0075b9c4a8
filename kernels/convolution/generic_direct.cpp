// As avx512_direct.cpp with the compiler's own vectors of four: 28 GFLOP/s with SSE2, a third of AVX2.
#include "kernels/convolution/vector_generic.h"
//
#include "kernels/convolution/direct_loops.h"

namespace lgms::kernels {
namespace {

constexpr Size fused[] = {{8, tile<8, 3>}};
constexpr Size single[] = {{8, tile<8, 1>}};

}  // namespace

void convolution_direct_generic(const ConvolutionDims& d, int64_t first, int64_t last, const float* x,
                                const float* packed, const float* bias, float* y, float* scratch) {
  direct_units(direct_cut(d), first, last, x, packed, bias, y, scratch, fused, single);
}

}  // namespace lgms::kernels
