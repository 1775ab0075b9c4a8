// As avx512_pointwise.cpp, 6 pixels x 2 vectors: 82 of 95 GFLOP/s.
#include "kernels/simd/avx2.h"
//
#include "kernels/convolution/forward/pointwise_loops.h"
