#pragma once
// What this machine can do at most, measured: the roofs that the time of a step is held against. Source: Williams,
// Waterman & Patterson 2009, doi:10.1145/1498765.1498785.
#include "kernels/impl.h"

namespace lgms::kernels {

struct Roofline {
  double flops = 0;  // a second: f32 multiply-adds in registers, two each, of all threads at once
  double bytes = 0;  // a second: read and written by a copy from memory to memory, of all threads at once
  // The least seconds that so many of both take.
  double seconds(double flop, double moved) const { return std::max(flop / flops, moved / bytes); }
};
// With the threads and the instruction set of the current context, the best of several tries of 5 ms each; takes 128
// MiB from it meanwhile.
Roofline measure_roofline();

// rounds * kMultiplyAdds multiply-adds of so many lanes each; a number that depends on all of them.
inline constexpr int64_t kMultiplyAdds = 12;
using MultiplyAdds = float(int64_t rounds);
using RooflineImpl = LanesImpl<MultiplyAdds>;
// Instruction sets in this build, widest first.
std::span<const RooflineImpl> roofline_impls();
MultiplyAdds multiply_adds_avx512, multiply_adds_avx2, multiply_adds_generic;

}  // namespace lgms::kernels
