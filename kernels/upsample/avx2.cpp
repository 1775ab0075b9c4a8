// From generic (19 GB/s at C = 16): 8 channels in a vector, the last ones masked: 37 GB/s.
#include "kernels/simd/avx2.h"
//
#include "kernels/upsample/upsample_loops.h"
