#pragma once
// In what the products of convolutions are formed.
#include <cstdint>
#include <string>
#include <string_view>

namespace lgms {

// f32: as everything is stored. bf16: both factors are rounded to bfloat16 (8 bits of mantissa, to nearest even) where
// they are multiplied; sums, and all else, stay float32. By pairs (AVX512-BF16's dot products of two) or by tiles
// (AMX's matrix products of 16 x 32 by 32 x 16); in order of preference. Inference only.
enum class Precision : uint8_t { f32, bf16_pairs, bf16_tiles };

constexpr const char* name_of(Precision precision) {
  return precision == Precision::bf16_tiles ? "bf16-tiles" : precision == Precision::bf16_pairs ? "bf16-pairs" : "f32";
}
// By this CPU and operating system, which is asked for the tiles' registers the first time (Linux: arch_prctl).
bool supported(Precision precision);
// "f32", "bf16-pairs", "bf16-tiles"; "bf16" is the best there is. Throws Error{usage} on an unknown name, Error{device}
// where the CPU lacks it.
Precision precision_from_name(std::string_view name);
// What a CPU needs for it, to say so where it lacks it.
std::string need_of(Precision precision);

}  // namespace lgms
