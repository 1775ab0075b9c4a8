// From the reference (60 ns a row of 48 channels, backward 120): sums in arrays of 16, which the compiler makes vectors
// of: 33 ns, backward 80; the loops of the other instruction sets, 4 channels at a time: 25 ns, backward 51.
#include "kernels/simd/generic.h"
//
#include "kernels/layer_norm/layer_norm_loops.h"
