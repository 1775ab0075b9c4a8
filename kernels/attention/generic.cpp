// From the reference: packed heads, every score computed once, 16 tokens side by side (168 us for 16 tokens against
// 1024: the compiler vectorised little of it); the same in four vectors of the compiler's own (SSE2, NEON, or plain
// code): 44 us.
#include "kernels/simd/generic.h"
//
#include "kernels/attention/attention_loops.h"
