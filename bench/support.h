#pragma once
// A row per implementation of an op, measured through the op itself on one thread.
#include <benchmark/benchmark.h>

#include <set>
#include <string>

#include "core/context.h"
#include "core/rng.h"
#include "core/tensor.h"

namespace lgms::bench {

inline Tensor normals(const Shape& shape, uint64_t seed = 1) {
  const Tensor t = Tensor::empty(shape);
  Rng rng(seed, Purpose::test);
  for (float& v : t.span<float>()) v = static_cast<float>(rng.normal());
  return t;
}

// Rows op/implementation/shape. problem() makes the tensors and returns what is timed; work: how much of `unit`
// ("FLOP/s", "B/s") one call does. Of an instruction set with several rows only the first is measured: the op takes it.
template <class Impls, class Problem>
void add_rows(const char* op, const Impls& impls, const char* shape, const char* unit, double work, Problem problem) {
  std::set<std::pair<Isa, Provider>> measured;
  for (const auto& impl : impls) {
    Provider provider = Provider::own;
    if constexpr (requires { impl.provider; }) provider = impl.provider;
    if (!supported(impl.isa) || !measured.emplace(impl.isa, provider).second) continue;
    const std::string name = std::string(op) + "/" + impl.name + "/" + shape;
    benchmark::RegisterBenchmark(name.c_str(), [isa = impl.isa, provider, unit, work,
                                                problem](benchmark::State& state) {
      ContextOptions options;
      options.isa = isa;
      options.provider = provider;
      Context context(options);
      const Context::Scope scope(context);
      const auto run = problem();
      for (auto _ : state) {
        run();
        benchmark::ClobberMemory();
      }
      state.counters[unit] = benchmark::Counter(work, benchmark::Counter::kIsIterationInvariantRate);
    })->Unit(benchmark::kMicrosecond);
  }
}

}  // namespace lgms::bench
