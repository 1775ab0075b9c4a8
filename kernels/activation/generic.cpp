#include "kernels/simd/generic.h"
//
#include "kernels/activation/activation_loops.h"
