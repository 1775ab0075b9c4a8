// As avx512_winograd.cpp with 8 lanes: 241 GFLOP/s of the direct sum (82 there) for 128 -> 64 at 64x64.
#include "kernels/convolution/vector_avx2.h"
//
#include "kernels/convolution/winograd_loops.h"

namespace lgms::kernels {
namespace {

constexpr ProductSize single[] = {{12, product<12, 1>}, {8, product<8, 1>}, {4, product<4, 1>}};
constexpr ProductSize pair[] = {{6, product<6, 2>}, {4, product<4, 2>}, {2, product<2, 2>}};

}  // namespace

void winograd_pack_avx2(const ConvolutionDims& d, int64_t first, int64_t last, const ConvolutionWeights<float>& w,
                        float* packed) {
  pack_weights(d, first, last, w, packed);
}

void convolution_winograd_avx2(const ConvolutionDims& d, int64_t first, int64_t last, const float* x,
                               const float* packed, const float* bias, float* y, float* scratch) {
  winograd_units(winograd_cut(d), first, last, x, packed, bias, y, scratch, single, pair);
}

}  // namespace lgms::kernels
