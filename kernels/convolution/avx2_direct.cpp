// As avx512_direct.cpp, whose steps these are, with tiles that fit 16 registers: 84 of 95 GFLOP/s.
#include "kernels/convolution/vector_avx2.h"
//
#include "kernels/convolution/direct_loops.h"

namespace lgms::kernels {
namespace {

constexpr Size fused[] = {{12, tile<12, 3>}, {8, tile<8, 3>}};
constexpr Size single[] = {{12, tile<12, 1>}, {6, tile<6, 1>}};

}  // namespace

void convolution_direct_avx2(const ConvolutionDims& d, int64_t first, int64_t last, const float* x, const float* packed,
                             const float* bias, float* y, float* scratch) {
  direct_units(direct_cut(d), first, last, x, packed, bias, y, scratch, fused, single);
}

}  // namespace lgms::kernels
