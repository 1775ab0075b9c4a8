// As avx512_direct.cpp with the compiler's own vectors of four: 28 GFLOP/s with SSE2, a third of AVX2.
#include "kernels/simd/generic.h"
//
#include "kernels/convolution/forward/direct_loops.h"
