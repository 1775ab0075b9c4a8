// 64 -> 128 at 128x128 on one Sapphire Rapids core (FMA peak 176 GFLOP/s), from reference.h (11 GFLOP/s) to here (158):
//   packed weights, sums of a tile in registers, pixels copied to a strip: 114
//   x read where it is, 6 pixels x 4 vectors (10 loads for 24 FMAs): 158; what is left is memory (256 -> 64 at 64x64:
//   164)
#include "kernels/simd/avx512.h"
//
#include "kernels/convolution/forward/pointwise_loops.h"
