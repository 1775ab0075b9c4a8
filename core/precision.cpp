#include "core/precision.h"

#include "core/error.h"
#include "core/isa.h"

#if defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>

#include "core/cpuid.h"
#endif

namespace lgms {
namespace {

#if defined(__x86_64__)
// The kernel saves tiles for processes that have asked for it.
bool may_use_tiles() {
#ifdef __linux__
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

Precision detect() {
  if (best_isa() < Isa::avx512 || cpuid(7).a < 1 || !(cpuid(7, 1).a >> 5 & 1)) return Precision::f32;
  const unsigned amx = 1u << 22 | 1u << 24;  // AMX-BF16, AMX-TILE
  const bool tiles = (cpuid(7).d & amx) == amx && (saved_registers() >> 17 & 3) == 3 && may_use_tiles();
  return tiles ? Precision::bf16_tiles : Precision::bf16_pairs;
}
#else
Precision detect() { return Precision::f32; }
#endif

Precision best_precision() {
  static const Precision best = detect();
  return best;
}

}  // namespace

bool supported(Precision precision) { return precision == Precision::f32 || precision <= best_precision(); }

std::string need_of(Precision precision) {
  return precision == Precision::f32
             ? "nothing"
             : text("AVX-512 with AVX512-BF16", precision == Precision::bf16_tiles
                                                    ? " and AMX-BF16 (4th generation Xeon)"
                                                    : " (AMD Zen 4, 4th generation Xeon, or newer)");
}

Precision precision_from_name(std::string_view name) {
  for (const Precision precision : {Precision::f32, Precision::bf16_pairs, Precision::bf16_tiles}) {
    const bool any = name == "bf16" && precision == Precision::bf16_pairs;
    if (name != name_of(precision) && !any) continue;
    check(supported(precision), ErrorKind::device, "[precision] ", name, ": it needs ", need_of(precision),
          ", which this CPU lacks; choose ", supported(Precision::bf16_pairs) ? "bf16-pairs" : "f32");
    return any ? best_precision() : precision;
  }
  fail(ErrorKind::usage, "[precision] expected f32, bf16, bf16-pairs or bf16-tiles, got '", name, "'");
}

}  // namespace lgms
