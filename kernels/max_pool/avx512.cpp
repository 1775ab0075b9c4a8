// From generic (16 GB/s at C = 16): 16 channels, the last ones masked; winners are narrowed to bytes as they are
// stored: 64 GB/s.
#include "kernels/simd/avx512.h"
//
#include "kernels/max_pool/max_pool_loops.h"
