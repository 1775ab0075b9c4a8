#include "nn/data/loader.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>

#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::nn;

namespace {

// Example i is the number i; prepared, it is (i, a random number).
Dataset numbers(int64_t n) {
  std::vector<std::string> stems;
  for (int64_t i = 0; i < n; ++i) stems.push_back(std::to_string(i));
  return {
      stems, [](const std::string& stem) {
        return Example{stem, Tensor::full({1, 1, 1}, std::stod(stem), DType::u8), Tensor::zeros({1, 1, 1}, DType::u8)};
      }};
}

Input prepare(const Example& e, Rng* rng) {
  const Tensor image = e.image.to(DType::f32).reshaped({1, 1, 1, 1});
  return {image, Tensor::full({1, 1, 1, 1}, rng == nullptr ? -1 : rng->uniform())};
}

std::vector<float> all_of(Loader& loader, std::vector<size_t>* sizes = nullptr) {
  std::vector<float> values;
  while (const auto batch = loader.next()) {
    if (sizes) sizes->push_back(batch->examples.size());
    CHECK(batch->images.shape() == Shape{static_cast<int64_t>(batch->examples.size()), 1, 1, 1, 1});
    for (float v : batch->images.span<float>()) values.push_back(v);
    for (float v : batch->targets.span<float>()) values.push_back(v);
  }
  return values;
}

}  // namespace

TEST_CASE("loader: an epoch holds every example once, the last partial batch too") {
  const Dataset data = numbers(11);
  Loader loader(data, prepare, {.batch = 4});
  std::set<int64_t> seen;
  std::vector<size_t> sizes;
  int64_t index = 0;
  while (const auto batch = loader.next()) {
    CHECK(batch->index == index++);
    sizes.push_back(batch->examples.size());
    for (size_t i = 0; i < batch->examples.size(); ++i)
      CHECK(batch->images.data<float>()[i] == static_cast<float>(batch->examples[i]));
    seen.insert(batch->examples.begin(), batch->examples.end());
  }
  CHECK(sizes == std::vector<size_t>{4, 4, 3});
  CHECK(seen.size() == 11);
  CHECK(!loader.next().has_value());  // and stays at its end
}

TEST_CASE("loader: batches depend on seed and epoch alone, and can be entered in the middle") {
  const Dataset data = numbers(23);
  const auto epoch = [&](uint64_t seed, int64_t number, int64_t first, size_t ahead) {
    Loader loader(data, prepare, {.batch = 5, .seed = seed, .epoch = number, .first = first, .ahead = ahead});
    return all_of(loader);
  };
  const std::vector<float> whole = epoch(3, 2, 0, 2);
  CHECK(whole == epoch(3, 2, 0, 7));
  CHECK(whole != epoch(3, 3, 0, 2));
  CHECK(whole != epoch(4, 2, 0, 2));
  const std::vector<float> rest = epoch(3, 2, 3, 2);
  CHECK(rest == std::vector<float>(whole.end() - static_cast<int64_t>(rest.size()), whole.end()));
  CHECK(rest.size() == 16);
}

TEST_CASE("loader: crops of one example come one after another, each with random numbers of its own") {
  const Dataset data = numbers(5);
  Loader loader(data, prepare, {.batch = 4, .seed = 3, .epoch = 2, .crops = 3});
  std::vector<int64_t> examples;
  std::set<float> drawn;
  while (const auto batch = loader.next()) {
    examples.insert(examples.end(), batch->examples.begin(), batch->examples.end());
    for (float v : batch->targets.span<float>()) drawn.insert(v);
  }
  const std::vector<int64_t> order = shuffled(5, 3, 2);
  REQUIRE(examples.size() == 15);
  for (size_t i = 0; i < examples.size(); ++i) CHECK(examples[i] == order[i / 3]);
  CHECK(drawn.size() == 15);
}

TEST_CASE("loader: validation keeps the order and augments nothing") {
  const Dataset data = numbers(5);
  Loader loader(data, prepare, {.batch = 5, .training = false});
  CHECK(all_of(loader) == std::vector<float>{0, 1, 2, 3, 4, -1, -1, -1, -1, -1});
}

TEST_CASE("loader: shuffles are permutations, and fair") {
  std::vector<int> first(5);
  for (int64_t epoch = 0; epoch < 5000; ++epoch) {
    std::vector<int64_t> order = shuffled(5, 1, epoch);
    ++first[static_cast<size_t>(order[0])];
    std::sort(order.begin(), order.end());
    CHECK(order == std::vector<int64_t>{0, 1, 2, 3, 4});
  }
  for (int count : first) CHECK(count == doctest::Approx(1000).epsilon(0.1));
}

TEST_CASE("loader: what goes wrong on its thread reaches next(), after the batches before it") {
  const Dataset data = numbers(6);
  const auto fails_at_4 = [](const Example& e, Rng* rng) {
    check(e.stem != "4", ErrorKind::data, "[4.png] is broken");
    return prepare(e, rng);
  };
  Loader loader(data, fails_at_4, {.batch = 2, .training = false});
  CHECK(loader.next().has_value());
  CHECK(loader.next().has_value());
  CHECK(testing::error_of([&] { loader.next(); }) == "[4.png] is broken");
  const auto odd = [](const Example& e, Rng*) {
    const int64_t side = e.stem == "1" ? 2 : 1;
    return Input{Tensor::zeros({1, side, 1, 1}), Tensor::zeros({1, 1, 1, 1})};
  };
  Loader uneven(data, odd, {.batch = 2, .training = false});
  CHECK(testing::error_of([&] { uneven.next(); }) ==
        "[loader] 1: expected f32 [1, 1, 1, 1] like 0, got f32 [1, 2, 1, 1]");
}

TEST_CASE("loader: it ends when it is abandoned, and tells how long it was waited for") {
  const Dataset data = numbers(1000);
  const auto slow = [](const Example& e, Rng* rng) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return prepare(e, rng);
  };
  Loader loader(data, slow, {.batch = 2});
  CHECK(loader.next().has_value());
  CHECK(loader.seconds_waited() > 0.005);
}

TEST_CASE("loader: a stop ends the wait for a batch, and the thread after the example in hand") {
  const Dataset data = numbers(1000);
  std::atomic<int> prepared = 0;
  const auto slow = [&](const Example& e, Rng* rng) {
    ++prepared;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return prepare(e, rng);
  };
  Context context;
  const Context::Scope scope(context);
  const auto start = std::chrono::steady_clock::now();
  {
    Loader loader(data, slow, {.batch = 1000});
    context.stop().request();
    CHECK(testing::error_of([&] { loader.next(); }) == "[loader] stopped while waiting for a batch");
  }
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
  CHECK(prepared < 20);
}

TEST_CASE("loader: a batch that no epoch has is refused") {
  const Dataset data = numbers(6);
  for (const int64_t first : {int64_t{-1}, int64_t{4}, std::numeric_limits<int64_t>::min()})
    CHECK(testing::error_of([&] {
            Loader(data, prepare, {.batch = 2, .first = first});
          }).starts_with("[loader] first: expected 0 to 3, got "));
}

TEST_CASE("loader: no thread is an error of the machine") {
  pthread_attr_t before, huge;
  REQUIRE(pthread_getattr_default_np(&before) == 0);
  pthread_attr_init(&huge);
  REQUIRE(pthread_attr_setstacksize(&huge, size_t{1} << 46) == 0);  // more than there are addresses
  REQUIRE(pthread_setattr_default_np(&huge) == 0);
  const Dataset data = numbers(6);
  try {
    const Loader loader(data, prepare, {.batch = 2});
    CHECK_MESSAGE(false, "expected no thread");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::device);
    CHECK(e.message().starts_with("[threads] "));
  }
  CHECK(pthread_setattr_default_np(&before) == 0);
}
