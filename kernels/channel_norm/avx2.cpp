#include "kernels/simd/avx2.h"
//
#include "kernels/channel_norm/channel_norm_loops.h"
