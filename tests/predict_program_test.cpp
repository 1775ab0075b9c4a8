// lgmsnet predict from outside.
#include <nlohmann/json.hpp>

#include "core/formats/image.h"
#include "core/io/bytes.h"
#include "core/io/output_file.h"
#include "lgmsnet/model_file.h"
#include "lgmsnet/training/lgmsnet.h"
#include "tests/support/discs.h"
#include "tests/support/folder.h"
#include "tests/support/program.h"
#include "tests/support/testing.h"

using namespace lgms;
using testing::Outcome;
namespace fs = std::filesystem;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Pictures, and a model of any number of classes that was never trained.
struct Bench : testing::Folder {
  Bench() { testing::write_discs(path() / "data", 2, 1, 40, 52); }

  fs::path model(int64_t classes = 1) const {
    ModelFile model;
    model.config.classes = classes;
    model.recipe.size = {32, 64};
    for (int64_t k = 0; k < classes; ++k) model.classes.push_back("class " + std::to_string(k));
    model.training = "{}";
    model.tensors = LGMSNet(model.config, 3).store().tensors();
    save_model(path() / "model.safetensors", model);
    return path() / "model.safetensors";
  }
  Outcome predict(std::vector<std::string> inputs, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments{"predict", "-m", path() / "model.safetensors", "-o", path() / "out", "-t", "1"};
    if (!inputs.empty()) arguments.push_back("-i");
    arguments.insert(arguments.end(), inputs.begin(), inputs.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    return testing::run_program(LGMS_PROGRAM, arguments);
  }
  std::string picture(int i) const { return path() / "data/images" / ("disc (" + std::to_string(i) + ").png"); }
};

}  // namespace

TEST_CASE("predict: a folder becomes masks of 0 and 255 at the pictures' sizes, overlays and probabilities") {
  const Bench bench;
  bench.model();
  const Outcome outcome = bench.predict({bench / "data/images"}, {"--overlay", "--probabilities"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(contains(outcome.out, "2 of 2 images"));
  for (const std::string stem : {"disc (0)", "disc (1)"}) {
    const Tensor mask = io::read_image(bench / "out" / (stem + ".png"), 1);
    CHECK(mask.shape() == Shape{40, 52, 1});
    for (uint8_t v : mask.span<uint8_t>()) CHECK((v == 0 || v == 255));
    CHECK(io::read_image(bench / "out" / (stem + "_overlay.png"), 3).shape() == Shape{40, 52, 3});
    const io::Bytes npy = io::read_file(bench / "out" / (stem + "_probability.npy"));
    CHECK(contains({npy.begin(), npy.end()}, "(1,40,52,)"));
    // The mask is where the probability is above one half.
    const auto* p = reinterpret_cast<const float*>(npy.data() + npy.size() - 40 * 52 * 4);
    for (int64_t i = 0; i < 40 * 52; ++i) CHECK((p[i] > 0.5f) == (mask.data<uint8_t>()[i] == 255));
  }
}

TEST_CASE("predict: several classes get folders of their own; --native-size keeps the size too") {
  const Bench bench;
  bench.model(2);
  REQUIRE(bench.predict({bench.picture(0)}, {"--native-size", "--probabilities"}).code == 0);
  for (const char* k : {"0", "1"})
    CHECK(io::read_image(bench / "out" / k / "disc (0).png", 1).shape() == Shape{40, 52, 1});
  const io::Bytes npy = io::read_file(bench / "out/disc (0)_probability.npy");
  CHECK(contains({npy.begin(), npy.end()}, "(2,40,52,)"));
}

TEST_CASE("predict: an unreadable file is reported, the rest is done, 7") {
  const Bench bench;
  bench.model();
  io::write_file(bench / "data/images/broken.png", std::string_view("nothing"));
  const Outcome outcome = bench.predict({bench / "data/images", bench / "absent.png"});
  CHECK(outcome.code == 7);
  CHECK(contains(outcome.err, "broken.png"));
  CHECK(contains(outcome.err, "absent.png"));
  CHECK(contains(outcome.out, "2 of 4 images"));
  CHECK(fs::exists(bench / "out/disc (1).png"));
  CHECK(!fs::exists(bench / "out/broken.png"));
}

TEST_CASE("predict: two inputs of one stem, and files that exist, are usage errors before any work") {
  const Bench bench;
  bench.model();
  fs::create_directories(bench / "more");
  fs::copy(bench.picture(0), bench / "more");
  const Outcome both = bench.predict({bench / "data/images", bench / "more"});
  CHECK(both.code == 2);
  CHECK(contains(both.err, "would both write"));
  CHECK(!fs::exists(bench / "out"));
  REQUIRE(bench.predict({bench.picture(0)}).code == 0);
  const Outcome exists = bench.predict({bench.picture(0)});
  CHECK(exists.code == 2);
  CHECK(contains(exists.err, "--overwrite"));
  CHECK(bench.predict({bench.picture(0)}, {"--overwrite"}).code == 0);
}

TEST_CASE("predict: bad models are 4, unwritable folders 1, missing arguments 2") {
  const Bench bench;
  CHECK(bench.predict({bench.picture(0)}).code == 4);  // no model
  bench.model();
  CHECK(bench.predict({}).code == 2);
  const Outcome volume = bench.predict({LGMS_TEST_DATA "/phantom/imagesTr/phantom_00.nii.gz"});
  CHECK(volume.code == 3);
  CHECK(contains(volume.err, "for a 2D model, got a volume"));
  io::write_file(bench / "out", std::string_view("a file"));
  CHECK(bench.predict({bench.picture(0)}).code == 1);
  const io::Bytes bytes = io::read_file(bench / "model.safetensors");
  io::write_file(bench / "model.safetensors", std::span(bytes).first(bytes.size() / 2));
  CHECK(bench.predict({bench.picture(0)}).code == 4);
}
