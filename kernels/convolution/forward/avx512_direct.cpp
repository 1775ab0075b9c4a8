// 64 -> 64, 3x3 at 64x64 on one Sapphire Rapids core (FMA peak 176 GFLOP/s), from reference.h (11 GFLOP/s) to here:
//   weights packed, input in a zero-padded strip, a tile of pixels summed in registers, taps of a row sharing each
//   broadcast input (29 loads for 72 FMAs): 28 with four lanes (generic_direct.cpp), 84 with eight (avx2_direct.cpp)
//   16 lanes, 24 pixels: 157
//   borders outside of the copying loop, tiles of even width: 162 (stem at 256x256 88 -> 103)
#include "kernels/simd/avx512.h"
//
#include "kernels/convolution/forward/direct_loops.h"
