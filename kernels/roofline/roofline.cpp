#include "kernels/roofline/roofline.h"

#include <chrono>
#include <cstring>

namespace lgms::kernels {
namespace {

constexpr RooflineImpl impls[] = {
#if LGMS_X86
    {"avx512", Device::cpu, Isa::avx512, 16, multiply_adds_avx512},
    {"avx2", Device::cpu, Isa::avx2, 8, multiply_adds_avx2},
#endif
    {"generic", Device::cpu, Isa::reference, 4, multiply_adds_generic}};

#if LGMS_X86
constexpr RooflineImpl bf16_impls[] = {
    {"bf16_tiles", Device::cpu, Isa::avx512, 16 * 16 * 32, multiply_adds_bf16_tiles_avx512, Precision::bf16_tiles},
    {"bf16_pairs", Device::cpu, Isa::avx512, 32, multiply_adds_bf16_pairs_avx512, Precision::bf16_pairs}};
#endif

// The most of `work` that is done in a second: of tries that grow until they take 5 ms, the best of twenty.
template <class F>
double best_rate(double work, const F& run) {
  double best = 0;
  int64_t times = 1;
  for (int tries = 0; tries < 20;) {
    const auto start = std::chrono::steady_clock::now();
    run(times);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (seconds < 0.005) {
      times *= 2;
      continue;
    }
    best = std::max(best, work * static_cast<double>(times) / seconds);
    ++tries;
  }
  return best;
}

}  // namespace

std::span<const RooflineImpl> roofline_impls() { return impls; }
std::span<const RooflineImpl> roofline_bf16_impls() {
#if LGMS_X86
  return bf16_impls;
#else
  return {};
#endif
}

Roofline measure_roofline() {
  Context& context = Context::current();
  const int64_t threads = context.threads();
  constexpr int64_t rounds = 2000;
  std::vector<float> sums(static_cast<size_t>(threads));  // so that no compiler leaves the work out
  const auto flops_of = [&](const RooflineImpl& row) {
    return best_rate(static_cast<double>(2 * threads * rounds * kMultiplyAdds * row.lanes), [&](int64_t times) {
      context.parallel(threads, [&](int64_t t, int) { sums[static_cast<size_t>(t)] += row.run(rounds * times); });
    });
  };
  Roofline roofline;
  roofline.flops = flops_of(pick(roofline_impls(), context, Device::cpu));
  for (const RooflineImpl& row : roofline_bf16_impls())
    if (row.precision == context.precision()) roofline.bf16_flops = flops_of(row);
  constexpr int64_t bytes = 64 << 20, pieces = 64;  // of each; larger than caches
  const Scratch memory(context.memory(), 2 * bytes);
  char* const from = memory.as<char>();
  context.parallel(pieces,
                   [&](int64_t p, int) { std::memset(from + p * (2 * bytes / pieces), 1, 2 * bytes / pieces); });
  roofline.bytes = best_rate(2. * bytes, [&](int64_t times) {
    for (int64_t i = 0; i < times; ++i)
      context.parallel(pieces, [&](int64_t p, int) {
        std::memcpy(from + bytes + p * (bytes / pieces), from + p * (bytes / pieces), bytes / pieces);
      });
  });
  return roofline;
}

}  // namespace lgms::kernels
