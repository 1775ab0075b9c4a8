#pragma once
// CPU instruction sets, detected at run time.
#include <optional>
#include <string>
#include <string_view>

namespace lgms {

// In order of preference; a Context caps it. reference: the readable loops; generic: portable C++, every CPU;
// avx2: AVX2 and FMA; avx512: AVX-512 F, BW, DQ, VL. Each is usable only if the operating system saves its registers.
enum class Isa { reference, generic, avx2, avx512 };

constexpr const char* name_of(Isa isa) {
  return isa == Isa::avx512 ? "avx512" : isa == Isa::avx2 ? "avx2" : isa == Isa::generic ? "generic" : "reference";
}
bool supported(Isa isa) noexcept;  // by this CPU and operating system (CPUID, XCR0)
Isa best_isa() noexcept;           // the highest supported one
// "avx2" -> Isa::avx2. Throws Error{usage} on an unknown name, Error{device} where the CPU lacks it.
Isa isa_from_name(std::string_view name);
std::string cpu_name();  // the brand string, e.g. "AMD EPYC 9B45", or "unknown CPU"

}  // namespace lgms
