// The LMS blocks' depthwise convolutions, all four kernel sizes at once, on the network's shapes. One thread.
#include <benchmark/benchmark.h>

#include <string>

#include "core/rng.h"
#include "kernels/multiscale_depthwise/multiscale_depthwise.h"

namespace lgms::kernels {
namespace {

struct Layer {
  const char* name;
  int64_t n, d, h, w, c;
  bool volume;
};
const Layer layers[] = {
    {"enc1_256x256", 1, 1, 256, 256, 16, false}, {"enc2_128x128", 1, 1, 128, 128, 16, false},
    {"enc3_64x64", 1, 1, 64, 64, 32, false},     {"enc1_256x256_batch4", 4, 1, 256, 256, 16, false},
    {"enc1_96x96x96", 1, 96, 96, 96, 16, true},  {"enc2_48x48x48", 1, 48, 48, 48, 16, true},
    {"enc3_24x24x24", 1, 24, 24, 24, 32, true},
};

enum class Pass { forward, data_gradient, weight_gradient };

Tensor normals(const Shape& shape) {
  const Tensor t = Tensor::empty(shape);
  Rng rng(1, Purpose::test);
  for (float& v : t.span<float>()) v = static_cast<float>(rng.normal());
  return t;
}

// The op itself, threads included, with the ISA capped to the row that is measured.
void run(benchmark::State& state, Isa isa, Pass pass, const Layer& l) {
  Context context({.threads = 1, .isa = isa, .memory_limit = 0, .log = {}, .executor = {}});
  const Context::Scope scope(context);
  const Shape shape{l.n, l.d, l.h, l.w, l.c};
  const Tensor x = normals(shape), y = normals(shape), bias = normals({l.c / 4});
  Tensor weights[4], dbiases[4];
  int64_t taps = 0;
  for (int64_t q = 0; q < 4; ++q) {
    const int64_t k = 3 + 2 * q, g = l.c / 4;
    taps += k * k * (l.volume ? k : 1);
    weights[q] = normals(l.volume ? Shape{g, 1, k, k, k} : Shape{g, 1, k, k});
    dbiases[q] = normals({g});
  }
  const Quarters w{weights[0], weights[1], weights[2], weights[3]}, b{bias, bias, bias, bias};
  const Quarters db{dbiases[0], dbiases[1], dbiases[2], dbiases[3]};
  for (auto _ : state) {
    if (pass == Pass::forward) multiscale_depthwise_forward(x, w, b, true, y);
    if (pass == Pass::data_gradient) multiscale_depthwise_data_gradient(x, w, true, y);
    if (pass == Pass::weight_gradient) multiscale_depthwise_weight_gradient(x, y, w, db);
    benchmark::ClobberMemory();
  }
  const double flops = 2.0 * static_cast<double>(taps * x.numel() / 4);
  state.counters["GFLOP/s"] = benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

const bool registered = [] {
  for (const Layer& l : layers)
    for (const auto& impl : multiscale_depthwise_forward_impls()) {
      if (!supported(impl.isa)) continue;
      const auto add = [&](const char* op, Pass pass) {
        const std::string name = std::string(op) + "/" + impl.name + "/" + l.name;
        benchmark::RegisterBenchmark(name.c_str(), run, impl.isa, pass, l)->Unit(benchmark::kMicrosecond);
      };
      add("multiscale_depthwise_forward", Pass::forward);
      add("multiscale_depthwise_data_gradient", Pass::data_gradient);
      add("multiscale_depthwise_weight_gradient", Pass::weight_gradient);
    }
  return true;
}();

}  // namespace
}  // namespace lgms::kernels
