#include "kernels/simd/avx2.h"
//
#include "kernels/convolution/weight_gradient/weight_gradient_loops.h"
