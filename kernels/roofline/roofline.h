#pragma once
// What this machine can do at most, measured: the roofs that the time of a step is held against. Source: Williams,
// Waterman & Patterson 2009, doi:10.1145/1498765.1498785.
#include "kernels/impl.h"

namespace lgms::kernels {

struct Roofline {
  double flops = 0;       // a second: f32 multiply-adds in registers, two each, of all threads at once
  double bytes = 0;       // a second: read and written by a copy from memory to memory, of all threads at once
  double bf16_flops = 0;  // as flops, of bf16 by the context's precision; 0 where that is f32
  // The least seconds that so many of both take.
  double seconds(double flop, double moved, Precision precision = Precision::f32) const {
    return std::max(flop / (precision == Precision::f32 ? flops : bf16_flops), moved / bytes);
  }
};
// With the threads, the instruction set and the precision of the current context, the best of several tries of 5 ms
// each; takes 128 MiB from it meanwhile.
Roofline measure_roofline();

// rounds * kMultiplyAdds multiply-adds of so many lanes each; a number that depends on all of them.
inline constexpr int64_t kMultiplyAdds = 12;
using MultiplyAdds = float(int64_t rounds);
using RooflineImpl = LanesImpl<MultiplyAdds>;
// Instruction sets in this build, widest first.
std::span<const RooflineImpl> roofline_impls();
MultiplyAdds multiply_adds_avx512, multiply_adds_avx2, multiply_adds_generic;
// In bfloat16; lanes: multiply-adds of one instruction.
std::span<const RooflineImpl> roofline_bf16_impls();
MultiplyAdds multiply_adds_bf16_pairs_avx512, multiply_adds_bf16_tiles_avx512;

}  // namespace lgms::kernels
