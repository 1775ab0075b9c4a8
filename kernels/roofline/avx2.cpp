#include "kernels/simd/avx2.h"
//
#include "kernels/roofline/multiply_adds.h"
