// From the reference (2.8 GB/s at C = 16): one axis after the other through a line of scratch: 11 GB/s; four channels
// in a vector of the compiler's own (SSE2, NEON or plain code), walking along the line with the blends that the next
// pixel needs again in registers, no scratch: 19 GB/s.
#include "kernels/simd/generic.h"
//
#include "kernels/upsample/upsample_loops.h"
