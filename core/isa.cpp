#include "core/isa.h"

#include <cstring>

#include "core/error.h"

#if defined(__x86_64__)
#include "core/cpuid.h"
#endif

namespace lgms {

#if defined(__x86_64__)
namespace {

Isa detect() {
  const CpuidRegisters one = cpuid(1);
  const bool osxsave = one.c >> 27 & 1, avx = one.c >> 28 & 1, fma = one.c >> 12 & 1;
  if (!osxsave || !avx || !fma || (saved_registers() & 0x6) != 0x6) return Isa::generic;
  const CpuidRegisters seven = cpuid(7);
  if (!(seven.b >> 5 & 1)) return Isa::generic;
  const unsigned avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // F, DQ, BW, VL
  return (seven.b & avx512) == avx512 && (saved_registers() & 0xe6) == 0xe6 ? Isa::avx512 : Isa::avx2;
}

}  // namespace

std::string cpu_name() {
  char name[49] = {};
  if (cpuid(0x80000000u).a < 0x80000004u) return "unknown CPU";
  for (unsigned i = 0; i < 3; ++i) {
    const CpuidRegisters r = cpuid(0x80000002u + i);
    std::memcpy(name + 16 * i, &r, 16);
  }
  const std::string_view all(name);
  const size_t first = all.find_first_not_of(' ');
  return first == all.npos ? "unknown CPU" : std::string(all.substr(first));
}
#else
static Isa detect() { return Isa::generic; }
std::string cpu_name() { return "unknown CPU"; }
#endif

Isa best_isa() noexcept {
  static const Isa best = detect();
  return best;
}

bool supported(Isa isa) noexcept { return isa <= best_isa(); }

Isa isa_from_name(std::string_view name) {
  for (Isa isa : {Isa::reference, Isa::generic, Isa::avx2, Isa::avx512})
    if (name == name_of(isa)) {
      check(supported(isa), ErrorKind::device, "[isa] ", name, ": this CPU has no more than ", name_of(best_isa()),
            "; choose that or less");
      return isa;
    }
  fail(ErrorKind::usage, "[isa] expected reference, generic, avx2 or avx512, got '", name, "'");
}

}  // namespace lgms
