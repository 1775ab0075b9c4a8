#include "kernels/simd/avx512.h"
//
#include "kernels/up_convolution/up_convolution_loops.h"
