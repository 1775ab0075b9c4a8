#include "kernels/simd/avx512bf16.h"
//
#include "kernels/convolution/forward/bf16_loops.h"
