#include "kernels/simd/generic.h"
//
#include "kernels/up_convolution/up_convolution_loops.h"
