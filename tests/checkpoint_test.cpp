#include "nn/checkpoint.h"

#include <cmath>

#include "core/io/bytes.h"
#include "core/io/output_file.h"
#include "core/io/safetensors.h"
#include "nn/optimizer.h"
#include "tests/support/folder.h"
#include "tests/support/hostile.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::nn;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

Checkpoint sample() {
  return {
      {3, 5, 77, 0.1 + 0.2, 0.875, 2},
      {{"seed", "0"}, {"train-list", "3 names, hash 00ff"}, {"init", ""}},
      "avx2",
      {{"a.weight", testing::randn({2, 3}, 1, DType::f32)}, {"a.num_batches_tracked", Tensor::full({}, 9, DType::i64)}},
      {{"optimizer.steps", Tensor::full({}, 77, DType::i64)},
       {"optimizer.momentum.a.weight", testing::randn({2, 3}, 2, DType::f32)}}};
}

}  // namespace

TEST_CASE("checkpoint: everything comes back as it was") {
  const testing::Folder folder;
  const Checkpoint saved = sample();
  save_checkpoint(folder / "last.safetensors", saved);
  const Checkpoint loaded = load_checkpoint(folder / "last.safetensors");
  CHECK(loaded.progress == saved.progress);
  CHECK(loaded.settings == saved.settings);
  CHECK(loaded.isa == "avx2");
  REQUIRE(loaded.weights.size() == 2);
  REQUIRE(loaded.optimiser.size() == 2);
  for (size_t i = 0; i < 2; ++i) {
    CHECK(loaded.weights[i].name == saved.weights[i].name);
    CHECK(testing::max_difference(loaded.weights[i].tensor, saved.weights[i].tensor) == 0);
    CHECK(testing::max_difference(loaded.optimiser[i].tensor, saved.optimiser[i].tensor) == 0);
  }
}

TEST_CASE("checkpoint: numbers that are not finite are not written over the checkpoint before") {
  const testing::Folder folder;
  const auto path = folder / "last.safetensors";
  save_checkpoint(path, sample());
  const io::Bytes before = io::read_file(path);
  Checkpoint diverged = sample();
  diverged.weights[0].tensor.data<float>()[4] = NAN;
  CHECK(contains(testing::error_of([&] { save_checkpoint(path, diverged); }),
                 "a.weight: expected finite numbers after step 77"));
  CHECK(io::read_file(path) == before);
}

TEST_CASE("checkpoint: other files are refused by name") {
  const testing::Folder folder;
  const auto path = folder / "model.safetensors";
  io::write_safetensors(path, {}, {{"lgms.format", "1"}});
  CHECK(contains(testing::error_of([&] { load_checkpoint(path); }),
                 "model.safetensors] lgms.checkpoint: expected a training checkpoint"));
  io::write_safetensors(path, {}, {{"lgms.checkpoint", "2"}});
  CHECK(contains(testing::error_of([&] { load_checkpoint(path); }), "newer version"));
  save_checkpoint(path, sample());
  io::Safetensors file = io::read_safetensors(path);
  file.metadata["lgms.step"] = "many";
  file.metadata.erase("lgms.metadata_checksum");
  io::write_safetensors(path, file.tensors, file.metadata);
  CHECK(contains(testing::error_of([&] { load_checkpoint(path); }), "lgms.step: expected a number, got \"many\""));
  const io::Bytes bytes = io::read_file(path);
  io::write_file(path, std::span(bytes).first(bytes.size() - 7));
  CHECK(contains(testing::error_of([&] { load_checkpoint(path); }), "model.safetensors"));
}

TEST_CASE("checkpoint: settings that stand twice and entries that are not known are refused by name") {
  const testing::Folder folder;
  const auto path = folder / "last.safetensors";
  save_checkpoint(path, sample());
  const io::Safetensors good = io::read_safetensors(path);
  const auto error = [&](const std::string& key, const std::string& value) {
    io::Metadata metadata = good.metadata;
    metadata.erase("lgms.metadata_checksum");
    metadata[key] = value;
    io::write_safetensors(path, good.tensors, metadata);
    return testing::error_of([&] { load_checkpoint(path); });
  };
  CHECK(contains(error("lgms.settings", "seed train-list init seed"), "\"seed\" stands twice"));
  CHECK(contains(error("lgms.settings", "seed init"), "lgms.setting.train-list: expected no such entry"));
  CHECK(contains(error("lgms.settings", "seed train-list init size"), "lgms.setting.size: expected a training"));
  CHECK(contains(error("lgms.colour", "blue"), "last.safetensors] lgms.colour: expected no such entry"));
  CHECK(error("author", "somebody").empty());
  CHECK(contains(error("lgms.metadata_checksum", "crc32:00000000"), "the file is damaged"));
}

TEST_CASE("checkpoint: a flipped bit is found, whatever it is of") {
  const testing::Folder folder;
  const auto path = folder / "last.safetensors";
  const Checkpoint saved = sample();
  save_checkpoint(path, saved);
  const std::vector<io::Bytes> flipped = testing::bit_flips(io::read_file(path));
  int harmless = 0;
  for (const io::Bytes& bytes : flipped) {
    io::write_file(path, bytes);
    try {
      const Checkpoint loaded = load_checkpoint(path);
      ++harmless;  // a checksum's own name, a name of a tensor: the network misses that one
      CHECK(loaded.progress == saved.progress);
      CHECK(loaded.settings == saved.settings);
      CHECK(loaded.isa == saved.isa);
      CHECK(loaded.weights.size() + loaded.optimiser.size() == 4);
    } catch (const Error& e) { CHECK(e.kind() == ErrorKind::model); }
  }
  MESSAGE(harmless, " of ", flipped.size(), " flips are harmless");
  CHECK(harmless * 10 < static_cast<int>(flipped.size()));
}

TEST_CASE("checkpoint: a changed setting is an error that names it") {
  const Settings saved{{"seed", "0"}, {"lr", "0.02"}};
  CHECK(testing::error_of([&] { check_settings(saved, saved, "RUN"); }).empty());
  CHECK(contains(testing::error_of([&] {
                   check_settings(saved, {{"seed", "0"}, {"lr", "0.01"}}, "RUN");
                 }),
                 "[resume] lr: the run in RUN was started with 0.02, got 0.01"));
  for (const Settings& now : {Settings{{"seed", "0"}}, Settings{{"seed", "0"}, {"lr", "0.02"}, {"size", "32"}}})
    CHECK(contains(testing::error_of([&] { check_settings(saved, now, "RUN"); }), "another version"));
}

TEST_CASE("checkpoint: exact_text reads back as the same number, hash_of tells lists apart") {
  for (double v : {0.1, 1.0 / 3, 5e-324, 1e300, -0.0, 0.30000000000000004})
    CHECK(std::strtod(exact_text(v).c_str(), nullptr) == v);
  CHECK(hash_of({"a", "b"}) == hash_of({"a", "b"}));
  CHECK(hash_of({"a", "b"}) != hash_of({"b", "a"}));
  CHECK(hash_of({"a", "b"}) != hash_of({"ab"}));
}

TEST_CASE("checkpoint: an optimiser goes on from its saved state, and refuses another's") {
  const std::vector<ParameterSpec> specs{{.name = "w", .shape = {3}, .bound = 1},
                                         {.name = "b", .shape = {2}, .bound = 1}};
  const auto step = [](const ParameterStore& store, Optimizer& optimizer) {
    store.clear_grads();
    for (const auto& v : store.parameters()) {  // dL/dw = w
      const Tensor value = v.value().clone();
      autograd::backward(
          autograd::Variable::from_op("square", Tensor::full({}, 0), {v}, {},
                                      [value](auto, const Tensor&, autograd::Grads& g) { g.put(0, value); }));
    }
    optimizer.step(0.1);
  };
  for (const Optimizer::Options& options : {Optimizer::Options(kernels::Sgd{.rate = 0, .weight_decay = 1e-4}),
                                            Optimizer::Options(kernels::AdamW{.rate = 0})}) {
    ParameterStore one(specs, 1), two(specs, 2);
    Optimizer first(one, options), second(two, options);
    for (int i = 0; i < 3; ++i) step(one, first);
    two.load(one.tensors(), "one");
    second.load(first.state(), "one");
    CHECK(second.steps() == 3);
    step(one, first);
    step(two, second);
    for (size_t i = 0; i < specs.size(); ++i)
      CHECK(testing::max_difference(one.tensors()[i].tensor, two.tensors()[i].tensor) == 0);
    NamedTensors less = first.state();
    less.pop_back();
    CHECK(contains(testing::error_of([&] { second.load(less, "FILE"); }), "[FILE] optimizer."));
  }
  {
    ParameterStore store(specs, 1);
    Optimizer adamw(store, kernels::AdamW{.rate = 0});
    NamedTensors state = adamw.state();
    state[2].tensor = Tensor::full(state[2].tensor.shape(), -1);
    CHECK(contains(testing::error_of([&] { adamw.load(state, "FILE"); }),
                   "[FILE] optimizer.variance.w: expected finite numbers from 0, got -1"));
  }
  ParameterStore store(specs, 1);
  Optimizer sgd(store, kernels::Sgd{.rate = 0}), adamw(store, kernels::AdamW{.rate = 0});
  CHECK(contains(testing::error_of([&] { sgd.load(adamw.state(), "FILE"); }),
                 "optimizer.momentum.w: the file does not hold"));
}
