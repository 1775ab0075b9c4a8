// From the reference (1.3 GB/s at C = 16): channels outside, taps inside, four channels in a vector of the compiler's
// own (SSE2, NEON or plain code), so that a tap is a compare and two blends: 16 GB/s.
#include "kernels/simd/generic.h"
//
#include "kernels/max_pool/max_pool_loops.h"
