// 128 -> 64, 3x3 at 64x64 on one Sapphire Rapids core, in GFLOP/s of the direct sum (164 there):
//   strips of tiles, 36 planes that avoid each other's cache sets: 345
//   transforms out of line (registers), strips for a small L2, the next plane's weights prefetched: 495
//   sums in slices of 32 inputs: 483, with 0.6 of the rounding error: 2.9 times direct
// Other shapes over direct: 16 -> 16 at 256x256 1.9, 64 -> 64 at 64x64 2.9, 384 -> 128 at 32x32 2.4, 3x3x3 1.9 to 3.5.
#include "kernels/convolution/vector_avx512.h"
//
#include "kernels/convolution/winograd_loops.h"

namespace lgms::kernels {
namespace {

constexpr ProductSize single[] = {{24, product<24, 1>}, {16, product<16, 1>}, {8, product<8, 1>}, {4, product<4, 1>}};
constexpr ProductSize pair[] = {{12, product<12, 2>}, {8, product<8, 2>}, {4, product<4, 2>}};

}  // namespace

void winograd_pack_avx512(const ConvolutionDims& d, int64_t first, int64_t last, const ConvolutionWeights<float>& w,
                          float* packed) {
  pack_weights(d, first, last, w, packed);
}

void convolution_winograd_avx512(const ConvolutionDims& d, int64_t first, int64_t last, const float* x,
                                 const float* packed, const float* bias, float* y, float* scratch) {
  winograd_units(winograd_cut(d), first, last, x, packed, bias, y, scratch, single, pair);
}

}  // namespace lgms::kernels
