// The norms' passes on the network's shapes, through the op (statistics from blocks, tables, combination). One thread.
#include <benchmark/benchmark.h>

#include <string>

#include "core/rng.h"
#include "kernels/channel_norm/channel_norm.h"

namespace lgms::kernels {
namespace {

struct Layer {
  const char* name;
  int64_t n, d, h, w, c;
  Activation before, after;
};
constexpr Activation none = Activation::none, relu = Activation::relu, silu = Activation::silu, gelu = Activation::gelu;
const Layer layers[] = {{"4_256x256_silu_batch4", 4, 1, 256, 256, 4, none, silu},
                        {"16_256x256_relu", 1, 1, 256, 256, 16, none, relu},
                        {"16_256x256_silu_batch4", 4, 1, 256, 256, 16, none, silu},
                        {"16_256x256_gelu_batch4", 4, 1, 256, 256, 16, none, gelu},
                        {"gelu_64_256x256_batch4", 4, 1, 256, 256, 64, gelu, none},
                        {"gelu_128_128x128_batch4", 4, 1, 128, 128, 128, gelu, none},
                        {"gelu_256_64x64_batch4", 4, 1, 64, 64, 256, gelu, none},
                        {"128_32x32_silu_batch4", 4, 1, 32, 32, 128, none, silu},
                        {"128_16x16_silu", 1, 1, 16, 16, 128, none, silu},
                        {"16_96x96x96_silu", 1, 96, 96, 96, 16, none, silu}};

enum class Pass { statistics, forward, backward };

Tensor normals(const Shape& shape) {
  const Tensor t = Tensor::empty(shape);
  Rng rng(1, Purpose::test);
  for (float& v : t.span<float>()) v = static_cast<float>(rng.normal());
  return t;
}

// The op itself, with the ISA capped to the row that is measured. GB/s of the tensors read and written once.
void run(benchmark::State& state, Isa isa, Pass pass, const Layer& l) {
  ContextOptions options;
  options.isa = isa;
  Context context(options);
  const Context::Scope scope(context);
  const Shape shape{l.n, l.d, l.h, l.w, l.c};
  const Tensor x = normals(shape), dy = normals(shape), y = normals(shape), gamma = normals({l.c}),
               beta = normals({l.c});
  const Tensor mean = Tensor::zeros({1, l.c}, DType::f64), rstd = Tensor::full({1, l.c}, 1, DType::f64);
  const NormSets sets{1, true};
  for (auto _ : state) {
    if (pass == Pass::statistics) channel_norm_statistics(x, l.before, sets, mean, rstd);
    if (pass == Pass::forward)
      channel_norm_forward(x, mean, rstd, gamma, beta, {.before = l.before, .after = l.after}, y);
    if (pass == Pass::backward)
      channel_norm_backward(x, dy, sets, mean, rstd, gamma, beta, l.before, l.after, false, y, gamma, beta);
    benchmark::ClobberMemory();
  }
  const double passes = pass == Pass::statistics ? 1 : pass == Pass::forward ? 2 : 5;
  state.counters["GB/s"] =
      benchmark::Counter(passes * 4e-9 * static_cast<double>(x.numel()), benchmark::Counter::kIsIterationInvariantRate);
}

const bool registered = [] {
  for (const Layer& l : layers)
    for (const auto& impl : channel_norm_impls()) {
      if (!supported(impl.isa)) continue;
      const auto add = [&](const char* op, Pass pass) {
        const std::string name = std::string(op) + "/" + impl.name + "/" + l.name;
        benchmark::RegisterBenchmark(name.c_str(), run, impl.isa, pass, l)->Unit(benchmark::kMicrosecond);
      };
      add("channel_norm_statistics", Pass::statistics);
      add("channel_norm_forward", Pass::forward);
      add("channel_norm_backward", Pass::backward);
    }
  return true;
}();

}  // namespace
}  // namespace lgms::kernels
