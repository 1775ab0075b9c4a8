// As avx512_direct.cpp, whose steps these are, with tiles that fit 16 registers: 84 of 95 GFLOP/s.
#include "kernels/simd/avx2.h"
//
#include "kernels/convolution/forward/direct_loops.h"
