// attention/pass/implementation/shape: one sub-grid unit after another, one thread, no checks of shapes.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "core/rng.h"
#include "core/tensor.h"
#include "kernels/attention/attention.h"

namespace {

using namespace lgms;
using kernels::AttentionDims;

struct Case { const char* name; int64_t d, h, w; int rank; };
constexpr Case cases[] = {{"dec4_64x64", 1, 64, 64, 2}, {"enc4_32x32", 1, 32, 32, 2}, {"enc5_16x16", 1, 16, 16, 2},
                          {"dec4_24x24x24", 24, 24, 24, 3}, {"enc4_12x12x12", 12, 12, 12, 3}, {"enc5_6x6x6", 6, 6, 6, 3}};
constexpr int64_t kHeads = 4, kWidth = kHeads * kernels::kHeadDim;

Tensor normals(const Shape& shape, uint64_t seed) {
  Rng rng(seed, Purpose::test);
  const Tensor t = Tensor::empty(shape);
  for (float& v : t.span<float>()) v = static_cast<float>(rng.normal());
  return t;
}

struct Problem {
  explicit Problem(const Case& c)
      : dims{1, c.d, c.h, c.w, kHeads, c.rank - 1, 3 * kWidth, kWidth, kWidth, 3 * kWidth},
        qkv(normals({1, c.d, c.h, c.w, 3 * kWidth}, 1)),
        dy(normals({1, c.d, c.h, c.w, kWidth}, 2)),
        y(Tensor::empty(dy.shape())),
        statistics(Tensor::empty({1, c.d, c.h, c.w, 2 * kHeads})),
        dqkv(Tensor::empty(qkv.shape())),
        scratch(Tensor::empty({kernels::attention_scratch(dims)})) {}
  // Products of 8 numbers per pair of tokens, 2 operations per multiply-add.
  double flops(double products) const {
    const auto tokens = static_cast<double>(dims.tokens());
    return products * 16 * tokens * tokens * static_cast<double>(dims.heads * dims.grids());
  }
  AttentionDims dims;
  Tensor qkv, dy, y, statistics, dqkv, scratch;
};

void report(benchmark::State& state, double flops) {
  state.counters["FLOP/s"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
}

void forward(benchmark::State& state, const kernels::Impl<kernels::AttentionForward>& impl, const Case& c) {
  const Problem p(c);
  for (auto _ : state) {
    impl.run(p.dims, 0, p.dims.units(), p.qkv.data<float>(), p.y.data<float>(), p.statistics.data<float>(),
             p.scratch.data<float>());
    benchmark::ClobberMemory();
  }
  report(state, p.flops(2));
}

void backward(benchmark::State& state, const kernels::Impl<kernels::AttentionBackward>& impl, const Case& c) {
  const Problem p(c);
  kernels::attention_forward(p.qkv, kHeads, c.rank, p.y, p.statistics);
  for (auto _ : state) {
    impl.run(p.dims, 0, p.dims.units(), p.qkv.data<float>(), p.y.data<float>(), p.statistics.data<float>(),
             p.dy.data<float>(), p.dqkv.data<float>(), p.scratch.data<float>());
    benchmark::ClobberMemory();
  }
  report(state, p.flops(5));
}

const bool registered = [] {
  for (const Case& c : cases) {
    for (const auto& impl : kernels::attention_forward_impls())
      if (supported(impl.isa))
        benchmark::RegisterBenchmark((std::string("attention_forward/") + impl.name + "/" + c.name).c_str(),
                                     [&impl, c](benchmark::State& state) { forward(state, impl, c); })
            ->Unit(benchmark::kMicrosecond);
    for (const auto& impl : kernels::attention_backward_impls())
      if (supported(impl.isa))
        benchmark::RegisterBenchmark((std::string("attention_backward/") + impl.name + "/" + c.name).c_str(),
                                     [&impl, c](benchmark::State& state) { backward(state, impl, c); })
            ->Unit(benchmark::kMicrosecond);
  }
  return true;
}();

}  // namespace
