// From generic (19 GB/s at C = 16): 16 channels in a vector, the last ones masked: 51 GB/s.
#include "kernels/simd/avx512.h"
//
#include "kernels/upsample/upsample_loops.h"
