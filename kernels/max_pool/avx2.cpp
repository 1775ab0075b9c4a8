// From generic (16 GB/s at C = 16): 8 channels, the last ones masked; winners are narrowed to bytes by two packs:
// 27 GB/s.
#include "kernels/simd/avx2.h"
//
#include "kernels/max_pool/max_pool_loops.h"
