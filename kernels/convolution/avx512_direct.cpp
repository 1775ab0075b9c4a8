#include "kernels/convolution/vector_avx512.h"
//
#include "kernels/convolution/direct_loops.h"

namespace lgms::kernels {
namespace {

constexpr Size fused[] = {{24, tile<24, 3>}, {16, tile<16, 3>}, {8, tile<8, 3>}};
constexpr Size single[] = {{24, tile<24, 1>}, {8, tile<8, 1>}};

}  // namespace

void convolution_direct_avx512(const ConvolutionDims& d, int64_t first, int64_t last, const float* x,
                               const float* packed, const float* bias, float* y, float* scratch) {
  direct_units(direct_cut(d), first, last, x, packed, bias, y, scratch, fused, single);
}

}  // namespace lgms::kernels
