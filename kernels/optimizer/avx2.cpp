#include "kernels/simd/avx2.h"
//
#include "kernels/optimizer/optimizer_loops.h"
