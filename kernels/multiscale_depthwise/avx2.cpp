// Eight lanes; tiles of 6 rows by 16 pixels take 12 of the 16 registers (4 rows: 0.87x).
#include "kernels/simd/avx2.h"
//
#include "kernels/multiscale_depthwise/multiscale_depthwise_loops.h"
