#include "kernels/simd/avx512.h"
//
#include "kernels/roofline/multiply_adds.h"
