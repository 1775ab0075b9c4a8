#include "kernels/simd/avx512.h"
//
#include "kernels/convolution/weight_gradient/weight_gradient_loops.h"
