// Files that claim to be models: what they claim is compared with what they hold before anything is made of it.
#include <cmath>

#include "core/io/output_file.h"
#include "core/io/safetensors.h"
#include "lgmsnet/model_file.h"
#include "lgmsnet/training/lgmsnet.h"
#include "tests/support/folder.h"
#include "tests/support/models.h"
#include "tests/support/program.h"
#include "tests/support/testing.h"

using namespace lgms;
using testing::Outcome;
using testing::untrained;
namespace fs = std::filesystem;

namespace {

const fs::path kGolden = fs::path(LGMS_TEST_DATA) / "golden";

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// The least that a process may have to be certain that a claim was not believed: 400 MB of addresses, 20 s.
Outcome run_small(const std::vector<std::string>& arguments) {
  std::vector<std::string> all{"-c", "ulimit -v 400000; ulimit -t 20; exec \"$@\"", "sh", LGMS_PROGRAM};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return testing::run_program("/bin/sh", all);
}

// Every verb that reads a model file, with this one.
std::vector<Outcome> every_verb(const testing::Folder& folder, const std::string& model) {
  const std::string data = (fs::path(LGMS_TEST_DATA) / "nuclei").string(),
                    picture = (fs::path(LGMS_TEST_DATA) / "nuclei" / "images").string();
  return {run_small({"info", model}), run_small({"summary", "-m", model}),
          run_small({"predict", "-m", model, "-i", picture, "-o", folder / "out", "--recipe", "default-2d", "-t", "1"}),
          run_small({"eval", "-m", model, "--data", data, "--recipe", "default-2d", "-t", "1"}),
          run_small({"train", "--init", model, "--data", data, "--out", folder / "run", "-t", "1"})};
}

}  // namespace

TEST_CASE("models: a file that claims another network than it holds is refused before memory is taken, exit 4") {
  const testing::Folder folder;
  const std::string path = folder / "claim.safetensors";
  const auto config = [](const char* c4, const char* split) {
    return text(R"({"rank": 2, "in_channels": 3, "classes": 1, "dims": [4, 4, 4, )", c4, R"(, 4], "splits": [)", split,
                R"(, [2, 2], )", split, R"(, [2, 2]], "depths": [1, 1, 1]})");
  };
  for (const std::string& claim :
       {config("6000", "[8, 5992]"), config("16384", "[8, 16376]"), config("16", "[-8, 24]"), config("16", "[0, 16]"),
        config("99999999999999999999", "[1, 1]"), config("16", "[8, 8]"),
        std::string(R"({"rank": 3, "in_channels": 16384, "classes": 16384, "dims": [16384, 16384, 16384, 16384, 16384],
            "splits": [[8, 16376], [8, 16376], [8, 16376], [8, 16376]], "depths": [64, 64, 64]})")}) {
    io::write_safetensors(path, {}, {{"lgms.format", "1"}, {"lgms.config", claim}});
    for (const Outcome& outcome : every_verb(folder, path)) {
      CAPTURE(claim);
      CAPTURE(outcome.err);
      CHECK(outcome.code == 4);
      CHECK(contains(outcome.err, "claim.safetensors] "));
    }
    // The same as a golden file.
    io::write_safetensors(path, {}, {{"config", claim}});
    for (const Outcome& outcome : {run_small({"verify", path, "-t", "1"}), run_small({"bench", path, "-t", "1"})}) {
      CAPTURE(outcome.err);
      CHECK(outcome.code == 4);
      CHECK(contains(outcome.err, "claim.safetensors] "));
    }
  }
}

TEST_CASE("train: a network that no machine, or not this one, has memory for is refused before any is taken") {
  const testing::Folder folder;
  const auto train = [&](int width) {
    io::write_file(folder / "wide.json", text(R"({"rank": 2, "in_channels": 3, "classes": 1, "dims": [4, 4, 4, )",
                                              width, R"(, 4], "splits": [[8, )", width - 8, R"(], [2, 2], [8, )",
                                              width - 8, R"(], [2, 2]], "depths": [1, 1, 1]})"));
    return run_small({"train", "--network", folder / "wide.json", "--data",
                      (fs::path(LGMS_TEST_DATA) / "nuclei").string(), "--out", folder / "run", "-t", "1"});
  };
  const Outcome beyond_reason = train(16384), beyond_memory = train(4096);
  CAPTURE(beyond_memory.err);
  CHECK(beyond_reason.code == 4);
  CHECK(contains(beyond_reason.err, "wide.json] config: expected a network of at most 2147483648 weights"));
  CHECK(beyond_memory.code == 5);
}

TEST_CASE("summary: a 3D model without a recipe has layers too") {
  const testing::Folder folder;
  io::write_safetensors(folder / "solid.safetensors", LGMSNet(Config::named("3d"), 3).store().tensors());
  CHECK(run_small({"summary", "-m", folder / "solid.safetensors"}).code == 0);
}

TEST_CASE("models: tensors that imply an impossible network are the file's fault, exit 4 with its name") {
  const testing::Folder folder;
  const std::string path = folder / "implied.safetensors";
  const NamedTensors good = untrained().tensors;
  const auto with = [&](const std::string& name, const Shape& shape) {
    NamedTensors tensors = good;
    for (NamedTensor& t : tensors)
      if (t.name == name) t.tensor = Tensor::zeros(shape, t.tensor.dtype());
    return tensors;
  };
  std::vector<NamedTensors> hostile{with("encoder4.0.transformer.layers.0.0.norm.weight", {136}),
                                    with("encoder4.0.transformer.layers.0.0.norm.weight", {0}),
                                    with("encoder4.0.transformer.layers.0.0.norm.weight", {}),
                                    with("stem.conv.0.weight", {0, 3, 3, 3}),
                                    with("stem.conv.0.weight", {16, 3}),
                                    with("stem.conv.0.weight", {16, 0, 3, int64_t{1} << 40}),
                                    with("Conv_1x1.weight", {0, 16, 1, 1}),
                                    with("encoder2.1.0.weight", {0, 16, 1, int64_t{1} << 47}),
                                    {good.begin() + 1, good.end()},
                                    {}};
  hostile.push_back(good);
  hostile.back().push_back({"one.more", Tensor::zeros({1})});
  hostile.push_back(good);
  for (int i = 0; i < 100'000; ++i)  // deeper than anything
    hostile.back().push_back({text("encoder1.", i + 1, ".local_dwc.weight"), Tensor::zeros({0})});
  for (const NamedTensors& tensors : hostile) {
    io::write_safetensors(path, tensors);
    for (const Outcome& outcome : every_verb(folder, path)) {
      CAPTURE(outcome.err);
      CHECK(outcome.code == 4);
      CHECK(contains(outcome.err, "implied.safetensors] "));
    }
  }
}

TEST_CASE("models: a variance below 0 is no variance, exit 4") {
  const testing::Folder folder;
  ModelFile model = untrained();
  for (NamedTensor& t : model.tensors)
    if (t.name == "stem.conv.1.running_var") t.tensor = Tensor::full(t.tensor.shape(), -1);
  save_model(folder / "model.safetensors", model);
  const Outcome outcome = run_small({"predict", "-m", folder / "model.safetensors", "-i",
                                     (fs::path(LGMS_TEST_DATA) / "nuclei" / "images").string(), "-o", folder / "out"});
  CHECK(outcome.code == 4);
  CHECK(contains(outcome.err, "stem.conv.1.running_var: expected numbers from 0"));
}

TEST_CASE("verify and bench: what does not fit in a golden file is a bad model, exit 4 with its name") {
  const testing::Folder folder;
  const std::string path = folder / "golden.safetensors";
  const auto expect = [&](const char* net, const std::string& name, const Tensor& tensor, bool bench) {
    io::Safetensors golden = io::read_safetensors(kGolden / net);
    REQUIRE(golden.find(name) != nullptr);
    for (NamedTensor& t : golden.tensors)
      if (t.name == name) t.tensor = tensor;
    io::write_safetensors(path, golden.tensors, golden.metadata);
    std::vector<Outcome> outcomes{run_small({"verify", path, "--dtype", "f32", "-t", "1"})};
    if (bench) outcomes.push_back(run_small({"bench", path, "--train", "--runs", "1", "-t", "1"}));
    for (const Outcome& outcome : outcomes) {
      CAPTURE(name);
      CAPTURE(tensor.shape());
      CAPTURE(outcome.err);
      CHECK(outcome.code == 4);
      CHECK(contains(outcome.err, "golden.safetensors] "));
    }
  };
  const char *flat = "net_2d.safetensors", *solid = "net_3d.safetensors";
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{1, 3, 33, 32}, Shape{1, 4, 32, 32}, Shape{0, 3, 32, 32},
                             Shape{1, 3, 0, 32}, Shape{1, 3, 32, 32, 32}})
    expect(flat, "input", Tensor::zeros(shape), true);
  for (const Shape& shape : {Shape{}, Shape{1, 2, 32, 32}, Shape{0}})
    expect(flat, "target", Tensor::zeros(shape), true);
  const Shape labels = io::read_safetensors(kGolden / solid).find("target")->shape();
  expect(solid, "target", Tensor::full(labels, 77, DType::i64), true);
  expect(solid, "target", Tensor::full(labels, -1, DType::i64), true);
  expect(solid, "target", Tensor::zeros(labels, DType::f32), true);
  expect(solid, "train.losses", Tensor::zeros({100'000}, DType::u8), false);
  expect(solid, "train.losses", Tensor::zeros({0}), false);
  expect(solid, "spread.eval.logits", Tensor::zeros({0}), false);
  expect(solid, "eval.logits", Tensor::full({1}, NAN), false);
}
