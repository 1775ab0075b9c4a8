#include "kernels/simd/avx512.h"
//
#include "kernels/optimizer/optimizer_loops.h"
