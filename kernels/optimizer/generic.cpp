#include "kernels/simd/generic.h"
//
#include "kernels/optimizer/optimizer_loops.h"
