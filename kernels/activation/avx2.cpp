#include "kernels/simd/avx2.h"
//
#include "kernels/activation/activation_loops.h"
