// The activations by themselves: in cache (their own cost) and on the feed-forward layers' shapes. One thread.
#include <benchmark/benchmark.h>

#include <string>

#include "core/rng.h"
#include "kernels/activation/activation.h"

namespace lgms::kernels {
namespace {

struct Layer {
  const char* name;
  int64_t rows, c;
};
const Layer layers[] = {
    {"L1_2048", 1, 2048}, {"ffn_256_32x32_batch4", 4096, 256}, {"ffn_128_64x64_batch4", 16384, 128}};

void run(benchmark::State& state, const ActivationImpl& impl, Activation kind, bool forward, const Layer& l) {
  const Tensor x = Tensor::empty({l.rows, l.c}), dy = Tensor::full({l.rows, l.c}, 1), y = Tensor::empty({l.rows, l.c});
  Rng rng(1, Purpose::test);
  for (float& v : x.span<float>()) v = static_cast<float>(rng.normal());
  const ActivationDims d{1, x.numel(), 0, 0, 0, kind};
  for (auto _ : state) {
    if (forward)
      impl.forward(d, x.data<float>(), y.data<float>());
    else
      impl.backward(d, x.data<float>(), dy.data<float>(), y.data<float>());
    benchmark::ClobberMemory();
  }
  const double count = static_cast<double>(x.numel());
  state.counters["ns/element"] =
      benchmark::Counter(count * 1e-9, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
  state.counters["GB/s"] =
      benchmark::Counter((forward ? 8e-9 : 12e-9) * count, benchmark::Counter::kIsIterationInvariantRate);
}

const bool registered = [] {
  for (const Layer& l : layers)
    for (const auto& impl : activation_impls())
      for (Activation kind : {Activation::relu, Activation::silu, Activation::gelu}) {
        if (!supported(impl.isa)) continue;
        for (bool forward : {true, false}) {
          const std::string name = std::string("activation_") + (forward ? "forward_" : "backward_") + name_of(kind) +
                                   "/" + impl.name + "/" + l.name;
          benchmark::RegisterBenchmark(name.c_str(), run, impl, kind, forward, l);
        }
      }
  return true;
}();

}  // namespace
}  // namespace lgms::kernels
