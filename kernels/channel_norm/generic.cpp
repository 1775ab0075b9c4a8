#include "kernels/simd/generic.h"
//
#include "kernels/channel_norm/channel_norm_loops.h"
