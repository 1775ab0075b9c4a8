#include "kernels/simd/generic.h"
//
#include "kernels/convolution/weight_gradient/weight_gradient_loops.h"
