#include "kernels/simd/generic.h"
//
#include "kernels/roofline/multiply_adds.h"
