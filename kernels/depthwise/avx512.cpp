// Sixteen channels at a time, the last ones by mask: 2.0x of AVX2 (64x64, C = 16: 8.6 us).
#include "kernels/simd/avx512.h"
//
#include "kernels/depthwise/depthwise_loops.h"
