#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <numeric>
#include <thread>

#include "core/rng.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

TEST_CASE("shape: extents, rows and channels; impossible ones throw") {
  const Shape s{2, 1, 4, 5, 3};
  CHECK(s.numel() == 120);
  CHECK(s.rows() == 40);
  CHECK(s.channels() == 3);
  CHECK(Shape{}.numel() == 1);
  CHECK(text(s) == "[2, 1, 4, 5, 3]");
  CHECK(error_of([] { Shape{1, -1}; }) == "[shape] extent 1: expected 0 or more, got -1");
  CHECK(error_of([] {
          Shape{int64_t{1} << 40, int64_t{1} << 40};
        }) == "[shape] extents: expected at most 2^48 elements");
  CHECK(error_of([] { Shape{1, 1, 1, 1, 1, 1}; }) == "[shape] rank: expected at most 5, got 6");
}

TEST_CASE("tensor: copying shares, clone copies, a slice is a view at the parent's row stride") {
  const Tensor a = Tensor::from({2, 3}, std::vector<float>{0, 1, 2, 3, 4, 5});
  const Tensor shared = a, copied = a.clone(), middle = a.slice(1, 1);
  a.data<float>()[4] = 40;
  CHECK(shared.data<float>()[4] == 40);
  CHECK(copied.data<float>()[4] == 4);
  CHECK(middle.shape() == Shape{2, 1});
  CHECK(middle.row_stride() == 3);
  CHECK_FALSE(middle.is_dense());
  CHECK(middle.dense().span<float>()[1] == 40);
  CHECK(middle.shares_storage_with(a));
  CHECK(a.slice_batch(1, 1).span<float>()[0] == 3);
  CHECK(error_of([&] { a.slice(2, 2); }) == "[slice] channels: expected a range within 3, got 2 + 2");
  CHECK(error_of([&] { a.data<double>(); }) == "[tensor] element type: expected f64, got f32");
  CHECK(error_of([&] { middle.span<float>(); }).starts_with("[tensor] expected a dense tensor"));
  CHECK(error_of([&] { middle.reshaped({1, 2}); }).starts_with("[reshaped] shape"));
}

TEST_CASE("tensor: copies and conversions keep values, between any strides") {
  const Tensor x = integers({2, 1, 3, 5, 7}, 1, DType::f32, 2), y = padded(x.shape(), DType::f32, 3);
  y.copy_from(x);
  CHECK(max_difference(x, y) == 0);
  CHECK(padding_intact(y, 3));
  for (DType t : {DType::f64, DType::i64}) CHECK(max_difference(x.to(t), x) == 0);
  CHECK(Tensor::full({3}, 7, DType::u8).span<uint8_t>()[2] == 7);
  CHECK(error_of([&] { y.copy_from(Tensor::zeros({3})); }).starts_with("[copy] source: expected f32 [2, 1, 3, 5, 7]"));
}

TEST_CASE("tensor: versions count writes in place, for all who share the storage") {
  const Tensor a = Tensor::zeros({2}), b = a;
  a.bump_version();
  CHECK(b.version() == 1);
  CHECK_FALSE(a.unique());
}

TEST_CASE("allocator: blocks are reused, the peak is counted, above the limit is an error") {
  Context context({.memory_limit = 1 << 20});
  const Context::Scope scope(context);
  const void* first = Tensor::empty({1000}).data<float>();
  CHECK(Tensor::empty({1000}).data<float>() == first);
  CHECK(context.allocator()->in_use() == 0);
  CHECK(context.allocator()->peak() >= 4000);
  CHECK(context.allocator()->peak() < 8000);
  CHECK(error_of([] { Tensor::empty({1 << 20}); }).starts_with("[memory] expected at most 1048576 bytes in use"));
  CHECK(context.allocator()->in_use() == 0);
}

#ifndef __SANITIZE_THREAD__  // it keeps pages of its own for every page of ours
TEST_CASE("allocator: never holds more than was ever in use at once") {
  const auto resident = [] {
    std::ifstream statm("/proc/self/statm");
    int64_t all = 0, pages = 0;
    statm >> all >> pages;
    return pages * 4096;
  };
  const auto touched = [](int64_t bytes) { return Tensor::full({bytes}, 1, DType::u8); };
  for (bool lean : {false, true}) {
    Context context({.lean = lean});
    const Context::Scope scope(context);
    const int64_t before = resident(), unit = 8 << 20;
    for (int64_t units : {4, 3, 2, 1, 5}) touched(units * unit);  // one at a time, each of another size
    touched(2 * unit);                                            // kept
    CHECK(context.allocator()->in_use() == 0);
    CHECK(context.allocator()->peak() >= 5 * unit);
    const int64_t held = resident() - before;
    CHECK(held <= 5 * unit + (2 << 20));
    context.allocator()->trim();
    if (lean) CHECK(resident() - before <= 2 << 20);  // else it is up to malloc
  }
}
#endif

TEST_CASE("allocator: a block made of others holds what is written to it, and others keep what they hold") {
  Context context;
  const Context::Scope scope(context);
  const int64_t page = 2 << 20;
  const auto filled = [](int64_t bytes, int value) { return Tensor::full({bytes}, value, DType::u8); };
  const auto all = [](const Tensor& t, int value) {
    return std::all_of(t.span<uint8_t>().begin(), t.span<uint8_t>().end(), [&](uint8_t v) { return v == value; });
  };
  std::vector<Tensor> kept;
  for (int i = 0; i < 6; ++i) {  // free neighbours and single blocks between blocks that live
    std::vector<Tensor> gone;
    for (int64_t pages : {1, 3, 2}) gone.push_back(filled(pages * page, 100));
    kept.push_back(filled(page + 5, i));
  }
  for (int64_t pages : {20, 7, 4, 1}) kept.push_back(filled(pages * page - 3, static_cast<int>(kept.size())));
  for (size_t i = 0; i < kept.size(); ++i) CHECK(all(kept[i], static_cast<int>(i)));
}

TEST_CASE("allocator: tensors may outlive the context they came from") {
  Tensor t;
  {
    Context context;
    const Context::Scope scope(context);
    t = Tensor::full({100}, 3);
  }
  CHECK(t.span<float>()[99] == 3);
}

TEST_CASE("thread pool: every piece runs once, exceptions come back, nested regions run where they are") {
  for (int threads : {1, 2, 3, 5}) {
    Context context({.threads = threads});
    const Context::Scope scope(context);
    for (int round = 0; round < 200; ++round) {
      std::vector<std::atomic<int>> counts(static_cast<size_t>(1 + round % 17));
      context.parallel(static_cast<int64_t>(counts.size()), [&](int64_t piece, int worker) {
        CHECK_MESSAGE((worker >= 0 && worker < threads), worker);
        counts[static_cast<size_t>(piece)]++;
      });
      for (const auto& count : counts) REQUIRE(count == 1);
    }
    CHECK(error_of([&] {
            context.parallel(8, [](int64_t piece, int) { check(piece != 5, ErrorKind::data, "piece 5"); });
          }) == "piece 5");
    std::atomic<int> sum = 0;
    context.parallel(4, [&](int64_t, int) { context.parallel(3, [&](int64_t, int) { ++sum; }); });
    CHECK(sum == 12);
  }
}

TEST_CASE("thread pool: it sleeps between regions and wakes again") {
  Context context({.threads = 2});
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> count = 0;
    context.parallel(2, [&](int64_t, int) { ++count; });
    CHECK(count == 2);
  }
}

TEST_CASE("context: the caller's executor runs the pieces; blocks depend on dims only") {
  int regions = 0;
  ContextOptions options;
  options.threads = 4;
  options.executor = [&](int64_t pieces, FunctionRef<void(int64_t, int)> body) {
    ++regions;
    for (int64_t piece = pieces - 1; piece >= 0; --piece) body(piece, static_cast<int>(piece % 4));
  };
  Context context(options);
  const Context::Scope scope(context);
  std::vector<int> hits(1000);
  parallel_ranges(1000, 10, [&](int64_t first, int64_t last, int) {
    for (int64_t i = first; i < last; ++i) ++hits[static_cast<size_t>(i)];
  });
  CHECK(regions == 1);
  CHECK(std::accumulate(hits.begin(), hits.end(), 0) == 1000);
  const Blocks blocks = blocks_of(10, 3, 100);
  CHECK(blocks.count == 3);
  CHECK(blocks.first(0) == 0);
  CHECK(blocks.last(2) == 10);
  CHECK(blocks_of(0, 3, 100).count == 1);
}

TEST_CASE("tensor: ranges beyond it, channels that cannot be and tensors that are not there are refused") {
  constexpr int64_t most = std::numeric_limits<int64_t>::max();
  CHECK(error_of([] { Tensor::zeros({4, 8}).slice(8, most - 3); }).starts_with("[slice] channels: expected a range"));
  CHECK(error_of([] { Tensor::zeros({4, 8}).slice(most, most); }).starts_with("[slice] channels: expected a range"));
  CHECK(error_of([] { Tensor::zeros({4, 8}).slice_batch(1, most); }).starts_with("[slice_batch] images: expected a"));
  CHECK(error_of([] { Shape{2, 3}.with_channels(-1); }).starts_with("[shape] extent 1: expected 0 or more"));
  CHECK(error_of([] { Shape{1 << 20, 1 << 20}.with_channels(int64_t{1} << 40); }).starts_with("[shape] extents: exp"));
  CHECK(error_of([] { Tensor().clone(); }) == "[clone] expected a tensor, got none");
  CHECK(error_of([] { Tensor().fill(1); }) == "[fill] expected a tensor, got none");
  CHECK(error_of([] { Tensor().to(DType::f64); }) == "[to] expected a tensor, got none");
  CHECK(error_of([] { Tensor::zeros({}).copy_from(Tensor()); }).starts_with("[copy] expected two tensors"));
}

TEST_CASE("context: current in two threads at once, they take turns") {
  Context context({.threads = 2});
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller)
    callers.emplace_back([&] {
      const Context::Scope scope(context);
      for (int region = 0; region < 300; ++region) {
        int64_t mine = 0;  // of one region: two pieces never run for two callers
        std::array<int64_t, 4> parts{};
        context.parallel(4, [&](int64_t piece, int) { parts[static_cast<size_t>(piece)] = piece + 1; });
        for (const int64_t part : parts) mine += part;
        sum += mine;
      }
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(sum == 3 * 300 * 10);
  CHECK(error_of([] { const Context negative({.memory_limit = -1}); }) ==
        "[context] memory_limit: expected 0 (none) or more, got -1");
}

TEST_CASE("context: numbers of threads that there cannot be are refused, with an executor too") {
  for (const int threads : {-1, 1025})
    for (const bool executor : {false, true}) {
      ContextOptions options{.threads = threads};
      if (executor) options.executor = [](int64_t, FunctionRef<void(int64_t, int)>) {};
      CHECK(error_of([&] { const Context context(options); }) ==
            text("[context] threads: expected 0 to 1024, got ", threads));
    }
  CHECK(error_of([] { Context::current().memory(Device::cuda); }) == "[context] device: expected cpu, got cuda");
}

TEST_CASE("context: an instruction set that the CPU lacks, or no such name, is an error") {
  CHECK(error_of([] { isa_from_name("sse9"); }) == "[isa] expected reference, generic, avx2 or avx512, got 'sse9'");
  setenv("LGMS_ISA", "generic", 1);
  CHECK(Context().isa() == Isa::generic);
  unsetenv("LGMS_ISA");
  CHECK(Context().isa() == best_isa());
}

TEST_CASE("rng: Philox4x32-10 gives the published numbers") {
  // Known answers of Random123 (kat_vectors): philox 4x32, 10 rounds.
  CHECK(philox4x32({0, 0}, {0, 0, 0, 0}) == std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32({0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}) ==
        std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0xa4093822, 0x299f31d0}, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}) ==
        std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("rng: streams differ by seed, purpose, epoch and sample; uniform and normal have their moments") {
  const auto first = [](Rng rng) { return rng.next(); };
  const uint32_t base = first(Rng(1, Purpose::augment, 2, 3));
  CHECK(base == first(Rng(1, Purpose::augment, 2, 3)));
  CHECK(base != first(Rng(2, Purpose::augment, 2, 3)));
  CHECK(base != first(Rng(1, Purpose::shuffle, 2, 3)));
  CHECK(base != first(Rng(1, Purpose::augment, 3, 3)));
  CHECK(base != first(Rng(1, Purpose::augment, 2, 4)));
  Rng rng(7, Purpose::test);
  double mean = 0, square = 0, uniform = 0;
  std::vector<int> dice(6);
  for (int i = 0; i < 60000; ++i) {
    const double n = rng.normal();
    mean += n / 60000;
    square += n * n / 60000;
    uniform += rng.uniform() / 60000;
    ++dice[rng.below(6)];
  }
  CHECK(std::abs(mean) < 0.02);
  CHECK(std::abs(square - 1) < 0.03);
  CHECK(std::abs(uniform - 0.5) < 0.01);
  for (int count : dice) CHECK(std::abs(count - 10000) < 500);
}

TEST_CASE("error: numbers in messages are as short as reads back the same, text is whole") {
  CHECK(text(0.99999994f, ' ', 0.1, ' ', 1.0, ' ', int64_t{-3}, ' ', true, ' ', uint8_t{7}, ' ', 'x') ==
        "0.99999994 0.1 1 -3 1 7 x");
  CHECK(text(Shape{2, 3}, std::string("a\0b", 3)) == std::string("[2, 3]a\0b", 9));
  try {
    fail(ErrorKind::data, std::string("a\0b", 3));
  } catch (const Error& e) { CHECK(e.message().size() == 3); }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // these need all addresses for themselves
TEST_CASE("thread_pool: where the system gives no thread, that is a device error and nothing is left") {
  struct rlimit before {};
  REQUIRE(getrlimit(RLIMIT_AS, &before) == 0);
  // Room for the stacks of a few threads at most.
  std::ifstream statm("/proc/self/statm");
  uint64_t pages = 0;
  statm >> pages;
  struct rlimit tight = before;
  tight.rlim_cur = pages * 4096 + (64u << 20);
  REQUIRE(setrlimit(RLIMIT_AS, &tight) == 0);
  std::string message;
  try {
    ThreadPool pool(512);
  } catch (const Error& e) {
    message = e.what();
    CHECK(e.kind() == ErrorKind::device);
  }
  setrlimit(RLIMIT_AS, &before);
  CHECK(message.find("[threads] ") == 0);
  ThreadPool pool(3);
  std::atomic<int> pieces{0};
  pool.run(10, [&](int64_t, int) { ++pieces; });
  CHECK(pieces == 10);
}
#endif
