#include "core/step_memory.h"

#include <algorithm>
#include <optional>
#include <thread>

#include "autograd/ops.h"
#include "core/arena.h"
#include "core/rng.h"
#include "lgmsnet/training/lgmsnet.h"
#include "nn/optimizer.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

namespace {

constexpr int64_t kHugePage = 2 << 20;

Config small(int rank) {
  Config config = Config::named(rank == 2 ? "2d" : "3d");
  config.dims = {8, 8, 16, 16, 16};
  config.splits = {{{8, 8}, {8, 8}, {8, 8}, {8, 8}}};
  return config;
}

// A network, trained on random numbers in the current context.
struct Training {
  Training(int rank, bool planned)
      : net(small(rank), 1),
        optimizer(net.store(), rank == 2 ? nn::Optimizer::Options(kernels::Sgd{}) : kernels::AdamW{}) {
    if (planned) memory = std::make_shared<StepMemory>(Context::current().allocator());
  }

  // Returns whether the host's allocator was asked for anything.
  bool step(int64_t batch, const std::function<void()>& in_the_middle = {}) {
    const Config& config = net.config();
    const bool flat = config.rank == 2;
    const int64_t depth = flat ? 1 : 32;
    const Tensor x = randn({batch, depth, 32, 32, config.in_channels}, ++seed, DType::f32),
                 target = flat ? Tensor::full({batch, depth, 32, 32, config.classes}, 1)
                               : Tensor::zeros({batch, depth, 32, 32}, DType::i64);
    net.store().clear_grads();
    HostAllocator& host = *Context::current().allocator();
    most = std::max(most, host.peak());
    host.reset_peak();
    const int64_t before = host.in_use();
    std::optional<StepMemory::Step> here;
    if (memory) here.emplace(memory, x.shape());
    {
      const autograd::Variable logits = net.forward(x, true);
      if (in_the_middle) in_the_middle();
      autograd::backward(flat ? autograd::bce_dice_loss(logits, target) : autograd::dice_ce_loss(logits, target));
    }
    optimizer.step(1e-3);
    net.store().clear_grads();
    most = std::max(most, host.peak());
    return host.peak() > before;
  }

  std::vector<float> weights() const {
    std::vector<float> all;
    for (const autograd::Variable& p : net.store().parameters())
      all.insert(all.end(), p.value().span<float>().begin(), p.value().span<float>().end());
    return all;
  }

  LGMSNet net;
  nn::Optimizer optimizer;
  std::shared_ptr<StepMemory> memory;
  uint64_t seed = 0;
  int64_t most = 0;  // bytes of the host in use
};

Tensor filled(int64_t bytes, int value) { return Tensor::full({bytes}, value, DType::u8); }

bool holds(const Tensor& t, int value) {
  const auto bytes = t.span<uint8_t>();
  return std::all_of(bytes.begin(), bytes.end(), [&](uint8_t b) { return b == value; });
}

}  // namespace

TEST_CASE("arena: rooms that share a moment lie apart, and take little more than they must") {
  Rng rng(1, Purpose::test);
  for (const uint32_t n : {0U, 1U, 2U, 30U, 300U}) {
    std::vector<int64_t> offsets(n, -1);
    std::vector<Room> rooms;
    for (uint32_t i = 0; i < n; ++i) {
      const int64_t first = rng.below(2 * n), bytes = 64 * int64_t{rng.below(100)};
      rooms.push_back({first, first + rng.below(10), bytes, &offsets[i]});
    }
    const int64_t bytes = place(rooms);
    int64_t least = 0;
    for (const Room& a : rooms) {
      CHECK(*a.offset >= 0);
      CHECK(*a.offset % 64 == 0);
      CHECK(*a.offset + a.bytes <= bytes);
      int64_t alive = 0;
      for (const Room& b : rooms) {
        const bool meet = a.first <= b.last && b.first <= a.last;
        alive += b.first <= a.first && a.first <= b.last ? b.bytes : 0;
        if (meet && &a != &b && a.bytes > 0 && b.bytes > 0)
          CHECK((*a.offset + a.bytes <= *b.offset || *b.offset + b.bytes <= *a.offset));
      }
      least = std::max(least, alive);
    }
    CHECK(bytes >= least);
    CHECK(bytes <= least * 5 / 4);
  }
}

TEST_CASE("step_memory: training asks the host's allocator for nothing after its first steps, and has the same bits") {
  for (int rank : {2, 3}) {
    CAPTURE(rank);
    std::vector<float> weights[2];
    int64_t most[2];
    for (bool planned : {false, true}) {
      Context context({.threads = 2});
      const Context::Scope scope(context);
      Training training(rank, planned);
      std::vector<bool> asked;
      for (int64_t batch : {2, 2, 2, 1, 2, 2, 1, 1, 2}) asked.push_back(training.step(batch));
      // The first step of a kind is written down, and there is no arena then, for which the next one asks. That of one
      // image takes less than the arena was.
      if (planned) CHECK(asked == std::vector<bool>{true, true, false, false, true, false, false, false, false});
      for (int i = 0; i < 10; ++i) CHECK(training.step(2) == !planned);
      weights[planned] = training.weights();
      most[planned] = training.most;
    }
    CHECK(weights[true] == weights[false]);
    // Blocks of an arena cannot be moved together, and it is whole huge pages.
    CHECK(most[true] <= most[false] * 11 / 10 + kHugePage);
  }
}

TEST_CASE("step_memory: a step that an exception ends is forgotten; the next ones have the bits they would have had") {
  Context context;
  const Context::Scope scope(context);
  for (int broken : {0, 1, 2}) {
    CAPTURE(broken);
    std::vector<float> weights[2];
    for (bool planned : {false, true}) {
      Training training(2, planned);
      for (int i = 0; i < 4; ++i) {
        if (i == broken)
          CHECK(error_of([&] { training.step(2, [] { fail(ErrorKind::interrupted, "in the middle"); }); }) ==
                "in the middle");
        training.step(2);
      }
      CHECK(training.step(2) == !planned);
      weights[planned] = training.weights();
    }
    CHECK(weights[true] == weights[false]);
  }
  CHECK(context.allocator()->in_use() == 0);
}

TEST_CASE("step_memory: under a limit there is room for what there was room for, or the error says so") {
  int64_t needed = 0;
  {
    Context context;
    const Context::Scope scope(context);
    Training training(2, false);
    training.step(2);
    needed = training.most;
  }
  for (int64_t limit : {needed, needed - 1}) {
    Context context({.memory_limit = limit});
    const Context::Scope scope(context);
    Training training(2, true);
    if (limit == needed) {
      for (int i = 0; i < 4; ++i) training.step(2);
    } else {
      for (int i = 0; i < 2; ++i)
        CHECK(error_of([&] { training.step(2); }).starts_with(text("[memory] expected at most ", limit, " bytes")));
      for (int i = 0; i < 4; ++i) training.step(1);
      CHECK_FALSE(training.step(1));
    }
  }
}

// Steps of random blocks, most of them the same from step to step: some differ in the middle, end early, leave blocks
// to later steps, or throw; some blocks are given back by another thread. What a block holds is nobody else's.
TEST_CASE("step_memory: blocks never share memory, however steps depart from what was written down") {
  Context context;
  const Context::Scope scope(context);
  Rng rng(3, Purpose::test);
  {
    const auto memory = std::make_shared<StepMemory>(context.allocator());
    std::vector<std::pair<Tensor, int>> kept;
    int next = 0, wrong = 0;
    const auto drop = [&](std::vector<std::pair<Tensor, int>>& blocks, size_t i) {
      wrong += !holds(blocks[i].first, blocks[i].second);
      blocks.erase(blocks.begin() + static_cast<std::ptrdiff_t>(i));
    };
    for (int step = 0; step < 300; ++step) {
      Rng same(4, Purpose::test, 0, rng.below(3));  // three kinds of steps
      const Shape kind{same.below(1000)};
      const uint32_t whim = rng.below(8), at = rng.below(60);
      try {
        const StepMemory::Step here(memory, kind);
        std::vector<std::pair<Tensor, int>> blocks;
        for (uint32_t i = 0; i < 60; ++i) {
          const bool whimsical = i == at && step > 9;
          if (whimsical && whim == 0) break;
          if (whimsical && whim == 1) fail(ErrorKind::internal, "");
          if (whimsical && whim == 2 && !blocks.empty()) kept.push_back(blocks.front());
          if (whimsical && whim == 3) blocks.emplace_back(filled(1 + rng.below(5000), 7), 7);
          if (whimsical && whim == 4 && !blocks.empty()) drop(blocks, 0);
          if (whimsical && whim == 5 && !blocks.empty())
            std::thread([block = std::exchange(blocks.front().first, filled(0, 0))] {}).join();
          if (blocks.empty() || same.below(5) < 3) {
            next = (next + 1) % 251;
            blocks.emplace_back(filled(same.below(3) * same.below(3000), next), next);
          } else {
            drop(blocks, same.below(static_cast<uint32_t>(blocks.size())));
          }
          if (!kept.empty() && rng.below(100) == 0) drop(kept, 0);
        }
        while (!blocks.empty()) drop(blocks, blocks.size() - 1);
      } catch (const Error&) {}
      if (rng.below(5) == 0) memory->give_back();
      if (rng.below(3) == 0) kept.clear();
    }
    for (const auto& [block, value] : kept) wrong += !holds(block, value);
    CHECK(wrong == 0);
  }
  CHECK(context.allocator()->in_use() == 0);
}

TEST_CASE("step_memory: between steps, and while it is given back, memory is the host's") {
  Context context;
  const Context::Scope scope(context);
  HostAllocator& host = *context.allocator();
  const auto memory = std::make_shared<StepMemory>(context.allocator());
  const auto step = [&] {
    const StepMemory::Step here(memory, {});
    filled(100'000, 1);
    Context other;  // whose memory is its own
    const Context::Scope inner(other);
    CHECK(filled(3 * kHugePage, 1).numel() == 3 * kHugePage);
  };
  step();
  CHECK(host.in_use() == 0);
  step();
  const int64_t arena = host.in_use();
  CHECK(arena >= 100'000);
  CHECK(arena < kHugePage);
  {
    const Tensor outside = filled(100'000, 1);
    CHECK(host.in_use() == 2 * arena);
  }
  memory->give_back();
  CHECK(host.in_use() == 0);
  step();
  CHECK(host.in_use() == arena);
}

TEST_CASE("step_memory: a block may outlive step, memory and context; its bytes stay its own") {
  std::vector<Tensor> kept;
  {
    Context context;
    const Context::Scope scope(context);
    const auto memory = std::make_shared<StepMemory>(context.allocator());
    for (int i = 0; i < 6; ++i) {
      const StepMemory::Step here(memory, {});
      const Tensor a = filled(1000, i), b = filled(2000, i);
      if (i % 2 == 1) kept.push_back(b);
      CHECK(holds(a, i));
    }
    memory->give_back();
  }
  for (size_t i = 0; i < kept.size(); ++i) CHECK(holds(kept[i], static_cast<int>(2 * i + 1)));
}

TEST_CASE("step_memory: a step inside of a step is an error, and the outer one goes on") {
  Context context;
  const Context::Scope scope(context);
  const auto memory = std::make_shared<StepMemory>(context.allocator());
  for (int i = 0; i < 3; ++i) {
    const StepMemory::Step here(memory, {});
    const Tensor a = filled(1000, i);
    CHECK(error_of([&] { StepMemory::Step(memory, {1}); }).starts_with("[step_memory] expected the end of a step"));
    const Tensor b = filled(1000, i + 1);
    CHECK(holds(a, i));
    CHECK(holds(b, i + 1));
  }
}
