// The losses and the optimiser updates at the sizes of the network. One thread.
#include <benchmark/benchmark.h>

#include <string>

#include "core/rng.h"
#include "kernels/loss/bce_dice_loss.h"
#include "kernels/loss/dice_ce_loss.h"
#include "kernels/optimizer/optimizer.h"

namespace lgms::kernels {
namespace {

Tensor normals(const Shape& shape) {
  const Tensor t = Tensor::empty(shape);
  Rng rng(1, Purpose::test);
  for (float& v : t.span<float>()) v = static_cast<float>(rng.normal());
  return t;
}

template <class Step>
void run(benchmark::State& state, Isa isa, int64_t elements, const Step& step) {
  ContextOptions options;
  options.isa = isa;
  Context context(options);
  const Context::Scope scope(context);
  for (auto _ : state) {
    step();
    benchmark::ClobberMemory();
  }
  state.counters["ns/element"] =
      benchmark::Counter(static_cast<double>(elements) * 1e-9,
                         benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void bce_dice(benchmark::State& state, Isa isa) {
  const Tensor x = normals({4, 1, 256, 256, 1}), t = Tensor::full(x.shape(), 1), loss = Tensor::empty({}),
               sums = Tensor::empty({4, 2}, DType::f64), dx = Tensor::empty(x.shape());
  run(state, isa, x.numel(), [&] {
    bce_dice_loss_forward(x, t, loss, sums);
    bce_dice_loss_backward(x, t, sums, loss, dx);
  });
}

void dice_ce(benchmark::State& state, Isa isa) {
  const Tensor x = normals({1, 48, 96, 96, 14}), labels = Tensor::zeros({1, 48, 96, 96}, DType::i64),
               loss = Tensor::empty({}), sums = Tensor::empty({1, 2, 14}, DType::f64), dx = Tensor::empty(x.shape());
  run(state, isa, x.numel(), [&] {
    dice_ce_loss_forward(x, labels, loss, sums);
    dice_ce_loss_backward(x, labels, sums, loss, dx);
  });
}

void sgd(benchmark::State& state, Isa isa) {
  const Tensor w = normals({2321393}), g = normals({2321393}), v = Tensor::zeros({2321393});
  run(state, isa, w.numel(), [&] { sgd_step({.rate = 1e-6, .weight_decay = 1e-4}, g, w, v); });
}

void adamw(benchmark::State& state, Isa isa) {
  const Tensor w = normals({2321393}), g = normals({2321393}), m = Tensor::zeros({2321393}), s = m.clone();
  run(state, isa, w.numel(), [&] { adamw_step({.rate = 1e-6}, 1, g, w, m, s); });
}

const bool registered = [] {
  const auto add = [](const char* op, const char* shape, const auto& impls, void (*body)(benchmark::State&, Isa)) {
    for (const auto& impl : impls)
      benchmark::RegisterBenchmark((std::string(op) + "/" + impl.name + "/" + shape).c_str(), body, impl.isa)
          ->Unit(benchmark::kMicrosecond);
  };
  add("bce_dice_loss", "256x256_batch4", bce_dice_loss_impls(), bce_dice);
  add("dice_ce_loss", "48x96x96_classes14", dice_ce_loss_impls(), dice_ce);
  add("sgd_step", "2d_net", optimizer_impls(), sgd);
  add("adamw_step", "2d_net", optimizer_impls(), adamw);
  return true;
}();

}  // namespace
}  // namespace lgms::kernels
