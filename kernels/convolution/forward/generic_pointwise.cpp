// As avx512_pointwise.cpp, 4 pixels x 2 vectors of four: 26 GFLOP/s with SSE2.
#include "kernels/simd/generic.h"
//
#include "kernels/convolution/forward/pointwise_loops.h"
