#include "kernels/simd/avx512bf16.h"
//
#include "kernels/roofline/multiply_adds_bf16.h"
