// From the reference: our own exp, four classes at a time.
#include "kernels/simd/generic.h"
//
#include "kernels/softmax/softmax_loops.h"
