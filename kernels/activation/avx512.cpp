#include "kernels/simd/avx512.h"
//
#include "kernels/activation/activation_loops.h"
