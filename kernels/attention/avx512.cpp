// From generic (44 us forward, 115 us backward for 16 tokens against 1024; one 2.75 GHz core of a Sapphire Rapids):
//   one vector of 16 tokens, their q and o in registers, 8 keys at a time: 4.9 us, 13.2 cycles per 16 scores, of which
//   its 26 vector operations need 13;
//   backward one row at a time: 18.4 us; four at a time, so that chains of FMAs do not wait for themselves: 18.1 us;
//   in the gradients of keys one broadcast of dy for both its products: 15.7 us.
#include "kernels/simd/avx512.h"
//
#include "kernels/attention/attention_loops.h"
