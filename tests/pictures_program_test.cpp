// Pictures and masks of every kind, and models of every released form, through predict, eval, train and convert.
#include <nlohmann/json.hpp>

#include "core/formats/image.h"
#include "core/io/bytes.h"
#include "core/io/output_file.h"
#include "core/io/safetensors.h"
#include "lgmsnet/model_file.h"
#include "tests/support/discs.h"
#include "tests/support/folder.h"
#include "tests/support/png.h"
#include "tests/support/program.h"
#include "tests/support/testing.h"

using namespace lgms;
using nlohmann::json;
using testing::ImageFile;
using testing::Outcome;
namespace fs = std::filesystem;

namespace {

const fs::path kData = LGMS_TEST_DATA, kReleased = kData / "released", kModel = kReleased / "0.1.0_2d.safetensors";

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

int occurrences(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// The samples of a file, changed one by one.
template <class Change>
std::vector<uint16_t> samples_of(const fs::path& file, const Change& change) {
  const io::StoredImage stored = io::read_stored(file);
  std::vector<uint16_t> samples;
  for (const uint16_t v : stored.samples)
    for (const int changed : change(v)) samples.push_back(static_cast<uint16_t>(changed));
  return samples;
}

// Four pictures of discs; rewrite() turns their images or masks into other files.
struct Bench : testing::Folder {
  static constexpr uint32_t kHeight = 40, kWidth = 36;
  Bench() { testing::write_discs(path() / "data", 4, 2, kHeight, kWidth); }

  static std::string name(int i) { return "disc (" + std::to_string(i) + ").png"; }
  template <class Change>
  void rewrite(const std::string& folder, uint8_t depth, testing::PngColour colour, const Change& change,
               const testing::ImageBytes& palette = {}) const {
    for (int i = 0; i < 4; ++i) {
      const fs::path file = path() / "data" / folder / name(i);
      io::write_file(file, testing::png_of({kHeight, kWidth, samples_of(file, change), depth, colour, palette, {}}));
    }
  }
  Outcome run(std::vector<std::string> arguments, const std::vector<std::string>& more = {}) const {
    arguments.insert(arguments.end(), more.begin(), more.end());
    return testing::run_program(LGMS_PROGRAM, arguments);
  }
  Outcome predict(const std::string& out, const std::vector<std::string>& more = {}) const {
    return run({"predict", "-m", kModel, "-i", path() / "data/images", "-o", path() / out, "--overlay", "-t", "1"},
               more);
  }
  Outcome eval(const std::vector<std::string>& more = {}) const {
    return run({"eval", "-m", kModel, "--data", path() / "data", "--json", "-t", "1"}, more);
  }
  Outcome train(const std::string& out, const std::vector<std::string>& more = {}) const {
    io::write_file(path() / "net.json",
                   std::string_view(R"({"rank": 2, "in_channels": 3, "classes": 1, "dims": [4, 4, 4, 4, 4],
                                        "splits": [[2, 2], [2, 2], [2, 2], [2, 2]], "depths": [1, 1, 1]})"));
    return run({"train", "--data", path() / "data", "--network", path() / "net.json", "--size", "32", "--epochs", "1",
                "--batch", "2", "--out", path() / out, "-t", "1"},
               more);
  }
  bool same_files(const std::string& a, const std::string& b) const {
    for (int i = 0; i < 4; ++i)
      for (const char* ending : {").png", ")_overlay.png"}) {
        const std::string file = "disc (" + std::to_string(i) + ending;
        if (io::read_file(path() / a / file) != io::read_file(path() / b / file)) return false;
      }
    return true;
  }
};

}  // namespace

TEST_CASE(
    "pictures: what 16 bits hold of 8-bit pictures is predicted to the same files; 12 bits of 16 are noted once") {
  const Bench bench;
  REQUIRE(bench.predict("eight").code == 0);
  bench.rewrite("images", 16, testing::kRgb, [](int v) { return std::array{257 * v}; });
  const Outcome sixteen = bench.predict("sixteen");
  CAPTURE(sixteen.err);
  REQUIRE(sixteen.code == 0);
  CHECK(!contains(sixteen.err, "note"));
  CHECK(bench.same_files("eight", "sixteen"));
  bench.rewrite("images", 16, testing::kRgb, [](int v) { return std::array{v / 257 * 16}; });
  const Outcome twelve = bench.predict("twelve");
  REQUIRE(twelve.code == 0);
  CHECK(occurrences(twelve.err, "note: ") == 1);
  CHECK(contains(twelve.err, "--white 4095"));
  CHECK(!bench.same_files("eight", "twelve"));
  const Outcome white = bench.predict("white", {"--white", "4080"});
  REQUIRE(white.code == 0);
  CHECK(!contains(white.err, "note"));
  CHECK(bench.same_files("eight", "white"));
  CHECK(bench.predict("none", {"--white", "65536"}).code == 2);
}

TEST_CASE("pictures: masks of every depth and kind score what those of 0 and 255 score") {
  const auto zero_or = [](int one) { return [one](int v) { return std::array{v > 0 ? one : 0}; }; };
  const Bench eight;
  const Outcome want = eight.eval();
  CAPTURE(want.err);
  REQUIRE(want.code == 0);
  REQUIRE(json::parse(want.out)["mean"]["dice"] > 0.05);
  const auto check = [&](const Bench& bench) {
    const Outcome got = bench.eval();
    CAPTURE(got.err);
    CHECK(got.out == want.out);
    CHECK(got.err.empty());
  };
  const auto grey = [&](uint8_t depth, int one) {
    const Bench bench;
    bench.rewrite("masks/0", depth, testing::kGrey, zero_or(one));
    CAPTURE(int{depth});
    CAPTURE(one);
    check(bench);
  };
  for (const auto& [depth, one] : std::vector<std::pair<uint8_t, int>>{
           {1, 1}, {2, 1}, {2, 3}, {4, 15}, {8, 1}, {8, 200}, {16, 1}, {16, 255}, {16, 65535}})
    grey(depth, one);
  const Bench palette, white_alpha, black_alpha, colour;
  palette.rewrite("masks/0", 4, testing::kIndexed, zero_or(1), {0, 0, 0, 128, 0, 0});
  check(palette);
  white_alpha.rewrite("masks/0", 8, testing::kRgba, [](int v) { return std::array{255, 255, 255, v}; });
  check(white_alpha);
  black_alpha.rewrite("masks/0", 16, testing::kGreyAlpha, [](int v) { return std::array{0, 257 * v}; });
  check(black_alpha);
  colour.rewrite("masks/0", 8, testing::kRgb, [](int v) { return std::array{0, v, 0}; });
  check(colour);
}

TEST_CASE("pictures: a mask that could mean two things is refused with its values, exit 3; a threshold decides") {
  const Bench bench;
  const fs::path mask = bench / "data/masks/0/disc (3).png";
  int n = 0;
  io::write_file(mask, testing::png_of({Bench::kHeight, Bench::kWidth, samples_of(mask, [&](int v) {
                                          return std::array{v == 0 ? 0 : ++n % 3 == 0 ? 255 : 1};
                                        })}));
  for (const Outcome& refused : {bench.eval(), bench.train("run")}) {
    CAPTURE(refused.err);
    CHECK(refused.code == 3);
    CHECK(contains(refused.err, "masks/0/disc (3).png] values: "));
    CHECK(contains(refused.err, "1 ("));
    CHECK(contains(refused.err, "255 ("));
    CHECK(contains(refused.err, "--mask-threshold N"));
  }
  CHECK(!fs::exists(bench / "run/last.safetensors"));
  const Outcome all = bench.eval({"--mask-threshold", "0"}), some = bench.eval({"--mask-threshold", "1"});
  CHECK(all.code == 0);
  CHECK(some.code == 0);
  CHECK(all.out != some.out);
  CHECK(bench.eval({"--mask-threshold", "65535"}).code == 2);
}

TEST_CASE("pictures: a run on 16 bits is the run on the 8 bits they hold, and keeps its white") {
  const Bench bench;
  REQUIRE(bench.train("eight").code == 0);
  bench.rewrite("images", 16, testing::kRgb, [](int v) { return std::array{16 * v}; });
  bench.rewrite("masks/0", 16, testing::kGrey, [](int v) { return std::array{v / 255}; });
  const Outcome done = bench.train("sixteen", {"--white", "4080"});
  CAPTURE(done.err);
  REQUIRE(done.code == 0);
  for (const char* file : {"metrics.csv", "overlays/disc (2).png"})
    CHECK(io::read_file(bench / "eight" / file) == io::read_file(bench / "sixteen" / file));
  CHECK(load_model(bench / "eight/model.safetensors").recipe.white == 0);
  CHECK(load_model(bench / "sixteen/model.safetensors").recipe.white == 4080);
  CHECK(json::parse(io::read_file(bench / "sixteen/config.json"))["recipe"]["white"] == 4080);
  // Predicted with it, unless told otherwise.
  const auto predict = [&](const char* out, std::vector<std::string> more) {
    more.insert(more.end(), {"-m", bench / "sixteen/model.safetensors", "-i", bench / "data/images", "-o",
                             bench.path() / out, "-t", "1", "--probabilities"});
    return bench.run({"predict"}, more).code;
  };
  REQUIRE(predict("with", {}) == 0);
  REQUIRE(predict("other", {"--white", "65535"}) == 0);
  CHECK(io::read_file(bench / "with/disc (0)_probability.npy") !=
        io::read_file(bench / "other/disc (0)_probability.npy"));
  // Resumed with it, unless told otherwise.
  CHECK(bench.train("sixteen", {"--resume"}).code == 0);
  CHECK(bench.train("sixteen", {"--resume", "--white", "4080"}).code == 0);
  const Outcome other = bench.train("sixteen", {"--resume", "--white", "4095"});
  CHECK(other.code == 2);
  CHECK(contains(other.err, "white"));
  CHECK(bench.train("eight", {"--resume", "--white", "4080"}).code == 2);
  // Weights bring theirs with them, also to where the run goes on.
  REQUIRE(bench.train("further", {"--init", bench / "sixteen/model.safetensors"}).code == 0);
  CHECK(load_model(bench / "further/model.safetensors").recipe.white == 4080);
  CHECK(bench.train("further", {"--resume"}).code == 0);
  REQUIRE(bench.train("otherwise", {"--init", bench / "sixteen/model.safetensors", "--white", "4000"}).code == 0);
  CHECK(load_model(bench / "otherwise/model.safetensors").recipe.white == 4000);
}

TEST_CASE("pictures: a mask threshold is kept by a run and its model; runs of before go on") {
  const Bench bench;
  bench.rewrite("masks/0", 16, testing::kGrey, [](int v) { return std::array{v > 0 ? 900 : 300}; });
  CHECK(bench.train("run").code == 3);
  REQUIRE(bench.train("run", {"--mask-threshold", "300", "--resume"}).code == 0);
  CHECK(bench.train("run", {"--resume"}).code == 0);
  CHECK(load_model(bench / "run/model.safetensors").recipe.mask_threshold == 300);
  const Outcome eval = bench.run({"eval", "-m", bench / "run/model.safetensors", "--data", bench / "data", "-t", "1"});
  CAPTURE(eval.err);
  CHECK(eval.code == 0);
  // 127 is a threshold where it was asked for.
  bench.rewrite("masks/0", 8, testing::kGrey, [](int v) { return std::array{v > 0 ? 200 : 100}; });
  REQUIRE(bench.train("middle", {"--mask-threshold", "127"}).code == 0);
  CHECK(bench.run({"eval", "-m", bench / "middle/model.safetensors", "--data", bench / "data", "-t", "1"}).code == 0);
  CHECK(bench.train("middle", {"--resume", "--mask-threshold", "128"}).code == 2);
  // Version 0.1.0 wrote 127 where no threshold was given, and no white.
  const Bench old;
  old.rewrite("masks/0", 8, testing::kGrey, [](int v) { return std::array{v / 255}; });
  REQUIRE(old.train("run").code == 0);
  json config = json::parse(io::read_file(old / "run/config.json"));
  config["arguments"]["mask-threshold"] = 127;
  config["arguments"].erase("white");
  io::write_file(old / "run/config.json", std::string_view(config.dump()));
  const Outcome resumed = old.train("run", {"--resume"});
  CAPTURE(resumed.err);
  CHECK(resumed.code == 0);
  CHECK(!contains(resumed.err, "note"));
}

TEST_CASE("pictures: JPEG and BMP pictures are trained on and scored as they are predicted") {
  const Bench bench;
  const fs::path images = bench / "data/images", masks = bench / "data/masks/0";
  fs::remove_all(images);
  fs::remove_all(masks);
  fs::create_directories(images);
  fs::create_directories(masks);
  const fs::path formats = kData / "formats";
  fs::copy(formats / "baseline.jpg", images / "disc (0).JPG");
  fs::copy(formats / "progressive.jpg", images / "disc (1).jpeg");
  fs::copy(formats / "rgb.bmp", images / "disc (2).bmp");
  fs::copy(formats / "rgb.png", images / "disc (3).Png");
  for (int i = 0; i < 4; ++i) {
    const bool bmp = i % 2 == 0;
    ImageFile file{5, 7, std::vector<uint16_t>(35, 1), 1, bmp ? testing::kGrey : testing::kIndexed, {0, 0, 0, 9, 9, 9}};
    file.samples[static_cast<size_t>(i)] = 0;
    io::write_file(masks / ("disc (" + std::to_string(i) + (bmp ? ").bmp" : ").PNG")),
                   bmp ? testing::bmp_of(file) : testing::png_of(file));
  }
  const Outcome trained = bench.train("run");
  CAPTURE(trained.err);
  CHECK(trained.code == 0);
  CHECK(bench.eval().code == 0);
  CHECK(bench.run({"predict", "-m", kModel, "-i", images, "-o", bench / "out", "-t", "1"}).code == 0);
  fs::copy(formats / "rgb.png", images / "disc (0).png");
  const Outcome two = bench.train("again");
  CHECK(two.code == 3);
  CHECK(contains(two.err, "expected one image of \"disc (0)\", got disc (0).JPG, disc (0).png"));
}

TEST_CASE("pictures: --white is for 2D; convert puts it into the recipe") {
  const Bench bench;
  const std::string pth = kData / "golden/net_2d.pth", out = bench / "out.safetensors";
  const Outcome done = bench.run({"convert", pth, "-o", out, "--recipe", "paper-2d", "--white", "1023"});
  CAPTURE(done.err);
  REQUIRE(done.code == 0);
  CHECK(load_model(out).recipe.white == 1023);
  CHECK(bench.run({"convert", pth, "-o", out, "--recipe", "paper-2d", "--white", "0"}).code == 2);
  const std::string solid = kReleased / "0.1.0_3d.safetensors", volume = kData / "phantom/imagesTr/phantom_08.nii.gz";
  CHECK(bench.run({"predict", "-m", solid, "-i", volume, "-o", bench / "o", "--white", "9"}).code == 2);
  CHECK(bench.run({"eval", "-m", solid, "--data", kData / "phantom", "--white", "9"}).code == 2);
  CHECK(bench.run({"train", "--data", kData / "phantom", "--out", bench / "o", "--white", "9"}).code == 2);
}

TEST_CASE("models: every released form is read, and scores what the version that wrote it scored") {
  const Bench bench;
  const auto scores = [&](const char* model, const char* data) {
    const Outcome outcome = bench.run({"eval", "-m", kReleased / model, "--data", kData / data, "--json", "-t", "2"});
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 0);
    return json::parse(outcome.out);
  };
  CHECK(scores("0.1.0_2d.safetensors", "nuclei")["mean"]["dice"].get<double>() ==
        doctest::Approx(0.6269).epsilon(2e-3));
  CHECK(scores("0.1.0_3d.safetensors", "phantom")["foreground_mean"]["dice"].get<double>() ==
        doctest::Approx(0.6651).epsilon(2e-3));
  CHECK(bench.predict("out").code == 0);
  CHECK(bench
            .run({"predict", "-m", kReleased / "0.1.0_3d.safetensors", "-i",
                  kData / "phantom/imagesTr/phantom_08.nii.gz", "-o", bench / "solid", "-t", "2"})
            .code == 0);
}

TEST_CASE("models: a recipe with a key that is unknown, or without one that it needs, ends with 4 and the key's name") {
  const Bench bench;
  for (const char* form : {"0.1.0_2d.safetensors", "0.1.0_3d.safetensors"}) {
    CAPTURE(form);
    const io::Safetensors released = io::read_safetensors(kReleased / form);
    const auto refused = [&](const std::function<void(json&)>& change, const std::string& part) {
      auto metadata = released.metadata;
      json recipe = json::parse(metadata["lgms.recipe"]);
      change(recipe);
      metadata["lgms.recipe"] = recipe.dump();
      io::write_safetensors(bench / "model.safetensors", released.tensors, metadata);
      const Outcome predicted = bench.run(
          {"predict", "-m", bench / "model.safetensors", "-i", bench / "data/images", "-o", bench / "out", "-t", "1"});
      CAPTURE(predicted.err);
      CHECK(predicted.code == 4);
      CHECK(contains(predicted.err, part));
    };
    refused([](json& recipe) { recipe["gamma"] = 2.2; },
            "recipe: expected no key that this version does not know, got gamma");
    refused([](json& recipe) { recipe.erase("name"); }, "recipe: expected the key name");
  }
}
