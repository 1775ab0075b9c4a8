// 128 -> 64, 3x3 at 64x64 on one Sapphire Rapids core, in GFLOP/s of the direct sum (164 there):
//   strips of tiles, 36 planes that avoid each other's cache sets: 345
//   transforms out of line (registers), strips for a small L2, the next plane's weights prefetched: 495
//   sums in slices of 32 inputs: 483, with 0.6 of the rounding error: 2.9 times direct
// Other shapes over direct: 16 -> 16 at 256x256 1.9, 64 -> 64 at 64x64 2.9, 384 -> 128 at 32x32 2.4, 3x3x3 1.9 to 3.5.
#include "kernels/simd/avx512.h"
//
#include "kernels/convolution/forward/winograd_loops.h"
