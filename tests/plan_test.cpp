#include "lgmsnet/plan.h"

#include <algorithm>
#include <array>
#include <thread>

#include "lgmsnet/training/lgmsnet.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

namespace {

Config odd(int rank) {
  Config config = Config::named(rank == 2 ? "2d" : "3d");
  config.dims = {8, 12, 20, 24, 36};
  config.splits = {{{16, 8}, {24, 8}, {16, 8}, {12, 4}}};
  config.classes = 3;
  return config;
}

Config small_volume(std::array<int64_t, 5> dims, std::array<Split, 4> splits) {
  Config config = Config::named("3d");
  config.dims = dims;
  config.splits = splits;
  return config;
}

struct Case {
  Config config;
  Shape x;
};

std::vector<Case> cases() {
  return {{odd(2), {3, 1, 64, 32, 3}},
          {odd(3), {2, 32, 64, 32, 1}},
          {Config::named("2d"), {1, 1, 96, 64, 3}},
          {Config::named("3d"), {1, 32, 32, 32, 1}},
          {Config::named("3d-l1"), {1, 32, 32, 32, 1}}};
}

}  // namespace

TEST_CASE("plan: what the steps run one by one give, on every instruction set and number of threads") {
  for (const Case& c : cases())
    for (const Isa isa : isas())
      for (const int threads : {1, 3}) {
        if (isa == Isa::reference && c.x.numel() > 20'000) continue;
#if defined(__SANITIZE_ADDRESS__)
        if (isa != best_isa() || threads == 1) continue;  // it finds nothing more in the others, for minutes
#endif
        CAPTURE(c.x);
        CAPTURE(name_of(isa));
        Context context({.threads = threads, .isa = isa});
        const Context::Scope scope(context);
        const Inference net = LGMSNet(c.config).inference();
        const Tensor x = randn(c.x, 7, DType::f32);
        const Plan plan(c.config, net.parameters(), std::make_shared<PackedWeights>(), c.x);
        const Tensor want = net.forward(x, [](const std::string&, const Tensor&) {}), got = plan.run(x);
        // Up-convolutions sum in another order, and instance norms in other blocks: at 32^3 the last of those divide by
        // sqrt(1e-5).
        CHECK(max_difference(got, want) <= (c.config.rank == 2 ? 3e-6 : 5e-5) * max_magnitude(want));
        CHECK(plan.arena().bytes <= plan.arena().least * 11 / 10);
      }
}

TEST_CASE("plan: in bfloat16 near to float32, with the same bits for any number of threads") {
  for (const Precision precision : {Precision::bf16_pairs, Precision::bf16_tiles}) {
    if (!supported(precision)) {
      MESSAGE("skipped: ", name_of(precision), " needs ", need_of(precision));
      continue;
    }
    CAPTURE(std::string(name_of(precision)));
    for (const Case& c : cases()) {
      CAPTURE(c.x);
      const Inference net = LGMSNet(c.config).inference();
      const Tensor x = randn(c.x, 7, DType::f32);
      Tensor first;
      for (const int threads : {1, 3}) {
        Context context({.threads = threads, .isa = Isa::avx512, .precision = precision});
        const Context::Scope scope(context);
        const Plan plan(c.config, net.parameters(), std::make_shared<PackedWeights>(), c.x);
        const Tensor want = net.forward(x, [](const std::string&, const Tensor&) {}), got = plan.run(x);
        // At 32^3 the last instance norms divide by nearly nothing, whatever rounding has left there.
        CHECK(max_difference(got, want) < (c.config.rank == 2 ? 0.05 : 0.3) * max_magnitude(want));
        CHECK(max_difference(got, want) > 0);
        if (!first.defined()) first = got;
        CHECK(max_difference(got, first) == 0);
        Context f32({.threads = threads, .isa = Isa::avx512});
        const Context::Scope other(f32);
        CHECK(error_of([&] { plan.run(x); }).find(name_of(precision)) != std::string::npos);
      }
    }
  }
}

TEST_CASE("plan: what is wider than what it is made of is not stored, in one image or several, with any threads") {
  Config config = Config::named("3d");
  config.classes = 2;
  const Shape one{1, 64, 64, 64, 1}, two{2, 32, 64, 32, 1};
  for (const Shape& shape : {one, two})
    for (const int threads : {1, 3}) {
      CAPTURE(shape);
      CAPTURE(threads);
      Context context({.threads = threads});
      const Context::Scope scope(context);
      const Inference net = LGMSNet(config).inference();
      const Plan plan(config, net.parameters(), std::make_shared<PackedWeights>(), shape);
      const std::vector<int64_t>& at = plan.arena().values;
      const int64_t unstored = std::count(at.begin(), at.end(), -1);
      CHECK(unstored == 3);  // of Up_conv4, Up_conv3 and Up_conv2
      // The widest tensor would have 64 channels of all voxels.
      if (shape == one) CHECK(plan.arena().bytes < 64 * shape.numel() * 4 * 11 / 10);
      const Tensor x = randn(shape, 7, DType::f32);
      const Tensor want = net.forward(x, [](const std::string&, const Tensor&) {}), got = plan.run(x);
      CHECK(max_difference(got, want) <= 5e-5 * max_magnitude(want));
    }
}

TEST_CASE("plan: a small context keeps fewer weights and gives the same bits") {
  const Config config = Config::named("2d");
  const Inference net = LGMSNet(config).inference();
  const Shape shape{1, 1, 64, 64, 3};
  const Tensor x = randn(shape, 5, DType::f32);
  std::array<Tensor, 2> logits;
  std::array<int64_t, 2> kept{};
  for (const bool small : {false, true}) {
    Context context({.small = small});
    const Context::Scope scope(context);
    const Plan plan(config, net.parameters(), std::make_shared<PackedWeights>(), shape);
    logits[small] = plan.run(x);
    kept[small] = plan.packed().bytes();
    CHECK(forward_cost(config, shape).packed_bytes >= kept[small]);
    Context other({.small = !small});
    const Context::Scope inner(other);
    CHECK(!plan.fits(other));
    CHECK(error_of([&] { plan.run(x); }).starts_with("[plan] context: expected 1 thread(s)"));
  }
  CHECK(max_difference(logits[0], logits[1]) == 0);
  CHECK(kept[1] < kept[0]);
}

TEST_CASE("plan: what lives at once lies apart") {
  for (const Case& c : cases()) {
    const Steps list = steps_of(c.config, c.x);
    const Plan plan(c.config, LGMSNet(c.config).inference().parameters(), std::make_shared<PackedWeights>(), c.x);
    // Filled before, the arena is read nowhere before it is written.
    const Tensor x = randn(c.x, 7, DType::f32), zeros = Tensor::zeros({plan.arena().bytes / 4}),
                 large = Tensor::full({plan.arena().bytes / 4}, 1e30);
    CHECK(max_difference(plan.run(x, zeros), plan.run(x, large)) == 0);
    CHECK(plan.arena().least > 0);
  }
}

TEST_CASE("plan: a run allocates nothing, and plans of one network share their weights") {
  Context context({.threads = 2});
  const Context::Scope scope(context);
  const Inference net = LGMSNet(odd(3)).inference();
  const Shape small{1, 32, 32, 32, 1}, large{1, 64, 32, 32, 1};
  const auto packed = std::make_shared<PackedWeights>();
  const Plan plan(net.config(), net.parameters(), packed, small);
  const int64_t bytes = packed->bytes();
  const Plan other(net.config(), net.parameters(), packed, large);
  CHECK(packed->bytes() == bytes);
  CHECK(bytes > 0);
  const Tensor x = randn(small, 3, DType::f32), arena = Tensor::empty({plan.arena().bytes / 4});
  const int64_t now = context.allocator()->in_use();
  context.allocator()->reset_peak();
  for (int i = 0; i < 20; ++i) plan.run(x, arena);
  CHECK(context.allocator()->peak() == now);

  const Inference flat = LGMSNet(odd(2)).inference();
  const Shape picture{1, 1, 32, 32, 3};
  const Plan many(flat.config(), flat.parameters(), std::make_shared<PackedWeights>(), picture);
  const Tensor y = randn(picture, 3, DType::f32), memory = Tensor::empty({many.arena().bytes / 4});
  const int64_t before = context.allocator()->in_use();
  context.allocator()->reset_peak();
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr int runs = 20;
#else
  constexpr int runs = 10'000;
#endif
  for (int i = 0; i < runs; ++i) many.run(y, memory);
  CHECK(context.allocator()->peak() == before);
}

TEST_CASE("plan: one plan runs in several threads, each with an arena") {
  const Config config = odd(2);
  const Inference net = LGMSNet(config).inference();
  const Shape shape{1, 1, 64, 64, 3};
  const Plan plan(config, net.parameters(), std::make_shared<PackedWeights>(), shape);
  const Tensor x = randn(shape, 5, DType::f32), want = plan.run(x);
  std::vector<double> off(3, 1);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < off.size(); ++t)
    threads.emplace_back([&, t] {
      double most = 0;
      for (int i = 0; i < 5; ++i) most = std::max(most, max_difference(plan.run(x), want));
      off[t] = most;
    });
  for (std::thread& t : threads) t.join();
  for (const double o : off) CHECK(o == 0);
}

TEST_CASE("plan: what does not fit is refused before anything runs") {
  const Config config = odd(2);
  const Inference net = LGMSNet(config).inference();
  CHECK(error_of([&] {
          Plan(config, net.parameters(), std::make_shared<PackedWeights>(), {1, 1, 60, 64, 3});
        }).starts_with("[network] input: expected sides that are multiples of 32"));
  const Plan plan(config, net.parameters(), std::make_shared<PackedWeights>(), {1, 1, 64, 64, 3});
  CHECK(error_of([&] {
          plan.run(Tensor::zeros({1, 1, 64, 32, 3}));
        }) == "[plan] x: expected [1, 1, 64, 64, 3], got [1, 1, 64, 32, 3]");
  const Tensor x = Tensor::zeros({1, 1, 64, 64, 3}), small = Tensor::empty({plan.arena().bytes / 4 - 1});
  CHECK(error_of([&] { plan.run(x, TensorView()); }).starts_with("[plan] arena: expected "));
  CHECK(error_of([&] { plan.run(x, small); }) == text("[plan] arena: expected ", plan.arena().bytes,
                                                      " bytes of cpu, 64-byte aligned, got ", plan.arena().bytes - 4));
  std::vector<Tensor> others = LGMSNet(odd(3)).inference().parameters();
  const auto with = [&](const std::vector<Tensor>& parameters) {
    return error_of([&] { Plan(config, parameters, std::make_shared<PackedWeights>(), {1, 1, 64, 64, 3}); });
  };
  CHECK(with(others).starts_with("[plan] stem.conv.0.weight: expected dense f32 [8, 3, 3, 3] of cpu, got f32 [8, 1, "));
  others = net.parameters();
  others.pop_back();
  CHECK(with(others).starts_with("[plan] parameters: expected more than "));
  others = net.parameters();
  others.push_back(others.front());
  CHECK(with(others).starts_with("[plan] parameters: expected "));
  Context other({.threads = 2});
  const Context::Scope scope(other);
  CHECK(error_of([&] {
          plan.run(Tensor::zeros({1, 1, 64, 64, 3}));
        }).starts_with("[plan] context: expected 1 thread(s)"));
}

TEST_CASE("plans: one per shape and context, until a weight is written to") {
  const Config config = odd(2);
  LGMSNet net(config);
  const Inference inference = net.inference();
  Plans plans;
  const Shape a{1, 1, 32, 32, 3}, b{1, 1, 32, 64, 3};
  const auto of = [&](const Shape& x) { return plans.get(config, inference.parameters(), x); };
  const auto first = of(a);
  CHECK(of(a) == first);
  CHECK(of(b) != first);
  CHECK(of(a) == first);
  {
    Context other({.threads = 2});
    const Context::Scope scope(other);
    CHECK(of(a) != first);
  }
  const Tensor x = randn(a, 1, DType::f32), before = inference.forward(x);
  const Tensor& weight = inference.parameters().front();
  weight.fill(0.25);
  weight.bump_version();
  CHECK(of(a) != first);
  CHECK(max_difference(inference.forward(x), before) > 0);
}

TEST_CASE("forward_cost: what the allocator hands out, to the byte") {
  const Case cases[] = {{Config::named("3d"), {1, 64, 64, 64, 1}},
                        {Config::named("3d"), {1, 32, 64, 32, 1}},
                        {small_volume({8, 8, 16, 16, 16}, {{{12, 4}, {12, 4}, {12, 4}, {12, 4}}}), {1, 96, 64, 64, 1}},
                        {Config::named("2d"), {1, 1, 256, 256, 3}}};
  for (const Case& c : cases)
    for (const int run : {0, 1, 2, 3}) {
      if (run == 3 && !supported(Precision::bf16_tiles)) continue;
      const int threads = run == 0 ? 1 : 2;
      const bool lean = run < 2;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
      if (c.x.numel() > 100'000) continue;  // they find nothing more in the larger ones, for minutes
#endif
      CAPTURE(c.x);
      CAPTURE(threads);
      ContextOptions options = with_threads(threads);
      options.lean = lean;
      if (run == 3) options.isa = Isa::avx512, options.precision = Precision::bf16_tiles;
      Context context(options);
      const Context::Scope scope(context);
      const Inference net = LGMSNet(c.config).inference();
      const int64_t weights = context.allocator()->in_use();
      net.forward(Tensor::zeros(c.x));
      const ForwardCost cost = forward_cost(c.config, c.x);
      CHECK(context.allocator()->in_use() - weights == cost.packed_bytes);
      context.allocator()->reset_peak();
      net.forward(Tensor::zeros(c.x));
      CHECK(context.allocator()->peak() - weights == cost.packed_bytes + cost.peak_bytes);
    }
}
