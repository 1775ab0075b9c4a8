// The same loops on four lanes, in the compiler's portable vectors (SSE2 on any x86-64, NEON on Arm):
// 5 times the reference, 0.4 of AVX2.
#include "kernels/simd/generic.h"
//
#include "kernels/depthwise/depthwise_loops.h"
