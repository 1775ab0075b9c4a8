// From generic (33 ns a row of 48 channels, backward 80): 8 channels at a time, all of them masked: 27 ns, backward 47;
// masks for the last few only: 15 ns, backward 30.
#include "kernels/simd/avx2.h"
//
#include "kernels/layer_norm/layer_norm_loops.h"
