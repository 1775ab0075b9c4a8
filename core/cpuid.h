#pragma once
// What the processor and the operating system say that they have; x86 only.
#include <cpuid.h>

#include <cstdint>

namespace lgms {

struct CpuidRegisters {
  unsigned a = 0, b = 0, c = 0, d = 0;
};
inline CpuidRegisters cpuid(unsigned leaf, unsigned subleaf = 0) {
  CpuidRegisters r;
  __get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d);
  return r;
}

// The register files that the operating system saves: bits 1, 2: SSE, AVX; 5, 6, 7: AVX-512; 17, 18: AMX tiles. For
// processors whose cpuid(1).c has OSXSAVE (bit 27).
inline uint64_t saved_registers() {
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
}

}  // namespace lgms
