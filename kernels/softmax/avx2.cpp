// From generic: eight classes at a time.
#include "kernels/simd/avx2.h"
//
#include "kernels/softmax/softmax_loops.h"
