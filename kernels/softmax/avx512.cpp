// From generic: sixteen classes at a time.
#include "kernels/simd/avx512.h"
//
#include "kernels/softmax/softmax_loops.h"
