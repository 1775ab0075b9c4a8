#include "kernels/simd/generic.h"
//
#include "kernels/convolution/weight_gradient_winograd_loops.h"
