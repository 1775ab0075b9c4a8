// The GMS blocks' depthwise k = 3 and k = 1 on the network's shapes. One thread.
#include <benchmark/benchmark.h>

#include <string>

#include "core/rng.h"
#include "kernels/depthwise/depthwise.h"

namespace lgms::kernels {
namespace {

struct Layer {
  const char* name;
  int64_t n, d, h, w, c;
  bool volume;
  int64_t k;
};
const Layer layers[] = {
    {"k3_32x32x32ch", 1, 1, 32, 32, 32, false, 3},        {"k1_32x32x32ch", 1, 1, 32, 32, 32, false, 1},
    {"k3_16x16x32ch", 1, 1, 16, 16, 32, false, 3},        {"k3_64x64x16ch", 1, 1, 64, 64, 16, false, 3},
    {"k3_64x64x16ch_batch8", 8, 1, 64, 64, 16, false, 3}, {"k1_64x64x16ch", 1, 1, 64, 64, 16, false, 1},
    {"k3_24x24x24x16ch", 1, 24, 24, 24, 16, true, 3},     {"k3_12x12x12x32ch", 1, 12, 12, 12, 32, true, 3},
    {"k3_6x6x6x32ch", 1, 6, 6, 6, 32, true, 3},
};

enum class Pass { forward, data_gradient, weight_gradient };

Tensor normals(const Shape& shape) {
  const Tensor t = Tensor::empty(shape);
  Rng rng(1, Purpose::test);
  for (float& v : t.span<float>()) v = static_cast<float>(rng.normal());
  return t;
}

// The op itself, with the ISA capped to the row that is measured.
void run(benchmark::State& state, Isa isa, Pass pass, const Layer& l) {
  Context context({.threads = 1, .isa = isa, .memory_limit = 0, .log = {}, .executor = {}});
  const Context::Scope scope(context);
  const Shape shape{l.n, l.d, l.h, l.w, l.c};
  const Tensor x = normals(shape), y = normals(shape), bias = normals({l.c});
  const Tensor weight = normals(l.volume ? Shape{l.c, 1, l.k, l.k, l.k} : Shape{l.c, 1, l.k, l.k});
  for (auto _ : state) {
    if (pass == Pass::forward) depthwise_forward(x, weight, bias, y);
    if (pass == Pass::data_gradient) depthwise_data_gradient(x, weight, y);
    if (pass == Pass::weight_gradient) depthwise_weight_gradient(x, y, weight, bias);
    benchmark::ClobberMemory();
  }
  const double flops = 2.0 * static_cast<double>(weight.numel() / l.c * x.numel());
  state.counters["GFLOP/s"] = benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

const bool registered = [] {
  for (const Layer& l : layers)
    for (const auto& impl : depthwise_forward_impls()) {
      if (!supported(impl.isa)) continue;
      const auto add = [&](const char* op, Pass pass) {
        const std::string name = std::string(op) + "/" + impl.name + "/" + l.name;
        benchmark::RegisterBenchmark(name.c_str(), run, impl.isa, pass, l)->Unit(benchmark::kMicrosecond);
      };
      add("depthwise_forward", Pass::forward);
      add("depthwise_data_gradient", Pass::data_gradient);
      add("depthwise_weight_gradient", Pass::weight_gradient);
    }
  return true;
}();

}  // namespace
}  // namespace lgms::kernels
