#include "kernels/simd/avx512.h"
//
#include "kernels/channel_norm/channel_norm_loops.h"
