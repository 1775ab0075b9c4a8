#include "kernels/simd/avx2.h"
//
#include "kernels/up_convolution/up_convolution_loops.h"
