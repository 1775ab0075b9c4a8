#include "kernels/simd/avx512bf16.h"
//
#include "kernels/up_convolution/up_convolution_bf16_loops.h"
