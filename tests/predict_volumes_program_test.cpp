// lgmsnet predict with 3D models, from outside.
#include <signal.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <thread>

#include "core/formats/image.h"
#include "core/formats/nifti.h"
#include "core/io/bytes.h"
#include "core/io/output_file.h"
#include "core/transform/components.h"
#include "lgmsnet/model_file.h"
#include "lgmsnet/training/lgmsnet.h"
#include "lgmsnet/volume_inference.h"
#include "tests/support/folder.h"
#include "tests/support/program.h"
#include "tests/support/testing.h"

using namespace lgms;
using testing::Outcome;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

constexpr Affine kOblique{{{0, -1.5, 0.2, 10}, {0.8, 0, 0, -20}, {0, 0.1, 2.5, 30}}};

// Waves, so that every place looks different.
Tensor waves(const Size3& size) {
  const Tensor voxels = Tensor::empty({size[0], size[1], size[2], 1});
  float* next = voxels.data<float>();
  for (int64_t d = 0; d < size[0]; ++d)
    for (int64_t h = 0; h < size[1]; ++h)
      for (int64_t w = 0; w < size[2]; ++w)
        *next++ = 100 * std::sin(0.3f * static_cast<float>(d)) + 80 * std::cos(0.2f * static_cast<float>(h)) +
                  static_cast<float>(w);
  return voxels;
}

struct Options {
  std::array<int64_t, 5> dims{8, 8, 16, 16, 16};
  std::array<Split, 4> splits{{{12, 4}, {12, 4}, {12, 4}, {12, 4}}};
  int64_t classes = 3;
  Size3 patch{32, 32, 32};
  std::array<double, 3> spacing{};
};

// Volumes, and a model that was never trained.
struct Bench : testing::Folder {
  fs::path model(const Options& o = {}) const {
    ModelFile model;
    model.config = Config::named("3d");
    model.config.dims = o.dims;
    model.config.splits = o.splits;
    model.config.classes = o.classes;
    model.volume_recipe = VolumeRecipe::named("default-3d");
    model.volume_recipe.patch = o.patch;
    model.volume_recipe.spacing = o.spacing;
    for (int64_t k = 0; k < o.classes; ++k)
      model.classes.push_back(k == 0 ? "background" : "\u00f6rgan " + std::to_string(k));
    model.training = "{}";
    model.tensors = LGMSNet(model.config, 3).store().tensors();
    save_model(path() / "model.safetensors", model);
    return path() / "model.safetensors";
  }
  fs::path volume(const std::string& name, const Size3& size, const Affine& affine = kOblique) const {
    fs::create_directories((path() / name).parent_path());
    io::write_nifti(path() / name, waves(size), io::make_nifti_header(size, affine));
    return path() / name;
  }
  Outcome predict(std::vector<std::string> inputs, std::vector<std::string> more = {},
                  const std::function<void(pid_t)>& meanwhile = {}) const {
    std::vector<std::string> arguments{"predict", "-m", path() / "model.safetensors", "-o", path() / "out", "-t", "2"};
    if (!inputs.empty()) arguments.push_back("-i");
    arguments.insert(arguments.end(), inputs.begin(), inputs.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    return testing::run_program(LGMS_PROGRAM, arguments, meanwhile);
  }
  json read_json(const std::string& name) const {
    const io::Bytes bytes = io::read_file(path() / "out" / name);
    return json::parse(bytes.begin(), bytes.end());
  }
  std::vector<std::string> outputs() const {
    std::vector<std::string> names;
    if (!fs::exists(path() / "out")) return names;
    for (const auto& entry : fs::directory_iterator(path() / "out")) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
};

// Peak resident bytes of a process while it runs.
int64_t watch_peak(pid_t pid) {
  int64_t peak = 0;
  for (;; std::this_thread::sleep_for(std::chrono::milliseconds(2))) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/status");
    int64_t now = -1;
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("VmHWM:")) now = std::stoll(line.substr(6)) * 1024;
    if (now < 0 && peak > 0) return peak;  // it has ended
    peak = std::max(peak, now);
  }
}

}  // namespace

TEST_CASE("predict volumes: a folder becomes label volumes with the inputs' geometry, and all that was asked for") {
  const Bench bench;
  bench.model();
  bench.volume("data/a.nii.gz", {20, 40, 36});
  bench.volume("data/b.nii", {9, 10, 11});
  const Outcome outcome =
      bench.predict({bench / "data"}, {"--statistics", "--preview", "--probabilities", "--keep-largest"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(contains(outcome.out, "2 of 2 volumes"));
  CHECK(bench.outputs() == std::vector<std::string>{"a.json", "a.nii.gz", "a.png", "a_probability_0.nii.gz",
                                                    "a_probability_1.nii.gz", "a_probability_2.nii.gz", "b.json",
                                                    "b.nii.gz", "b.png", "b_probability_0.nii.gz",
                                                    "b_probability_1.nii.gz", "b_probability_2.nii.gz", "labels.json"});
  CHECK(bench.read_json("labels.json") == json{{"0", "background"}, {"1", "\u00f6rgan 1"}, {"2", "\u00f6rgan 2"}});
  for (const std::string stem : {"a", "b"}) {
    const io::Volume in = io::read_nifti(bench / (stem == "a" ? "data/a.nii.gz" : "data/b.nii")),
                     out = io::read_nifti(bench / "out" / (stem + ".nii.gz"));
    CHECK(out.header.size == in.header.size);
    CHECK(out.header.affine == in.header.affine);
    const json statistics = bench.read_json(stem + ".json");
    std::array<int64_t, 3> count{};
    for (float v : out.voxels.span<float>()) ++count[static_cast<size_t>(v)];
    REQUIRE(statistics["labels"].size() == 2);
    for (size_t k : {1u, 2u}) CHECK(statistics["labels"][k - 1]["voxels"] == count[k]);
    const Tensor picture = io::read_image(bench / "out" / (stem + ".png"), 3);
    CHECK(picture.shape()[0] > 200);
    Tensor sum = Tensor::zeros(out.voxels.shape());
    for (int k = 0; k < 3; ++k) {
      const Tensor p = io::read_nifti(bench / "out" / (stem + "_probability_" + std::to_string(k) + ".nii.gz")).voxels;
      for (size_t i = 0; i < p.span<float>().size(); ++i) sum.span<float>()[i] += p.span<float>()[i];
    }
    CHECK(testing::max_difference(sum, Tensor::full(sum.shape(), 1)) < 1e-6);
  }
}

TEST_CASE("predict volumes: the program's labels are the library's, resampled or not, whatever the threads") {
  const Bench bench;
  struct Case {
    std::array<double, 3> spacing;
    bool mirror;
  };
  for (const Case& c : {Case{{}, false}, Case{{2, 2, 2}, false}, Case{{}, true}}) {
    bench.model({.spacing = c.spacing});
    const fs::path file = bench.volume("a.nii.gz", {30, 40, 70});
    std::vector<std::string> more{"--overwrite", "--overlap", "0.25", "--blending", "constant"};
    if (c.mirror) more.push_back("--tta");
    const Outcome outcome = bench.predict({file}, more);
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 0);
    const ModelFile model = load_model(bench / "model.safetensors");
    const Inference net(model.config, model.tensors, "model");
    VolumeRecipe recipe = model.volume_recipe;
    recipe.overlap = 0.25;
    recipe.gaussian = false;
    const io::Volume in = io::read_nifti(file);
    const auto logits = [&](const Tensor& patch) { return net.forward(patch); };
    VolumeOptions options;
    options.windows.mirror = c.mirror;
    const Tensor want = segment_volume(recipe, in.voxels, in.header.affine, 3, logits, options).labels;
    CHECK(testing::max_difference(io::read_nifti(bench / "out/a.nii.gz").voxels.to(DType::u8), want) == 0);
  }
}

TEST_CASE("predict volumes: an unreadable file is reported, the rest is done, 7") {
  const Bench bench;
  bench.model();
  bench.volume("data/a.nii.gz", {9, 10, 11});
  io::write_file(bench / "data/broken.nii.gz", std::string_view("nothing"));
  const Outcome outcome = bench.predict({bench / "data", bench / "absent.nii"});
  CHECK(outcome.code == 7);
  CHECK(contains(outcome.err, "broken.nii.gz"));
  CHECK(contains(outcome.err, "absent.nii"));
  CHECK(contains(outcome.out, "1 of 3 volumes"));
  CHECK(bench.outputs() == std::vector<std::string>{"a.nii.gz", "labels.json"});
}

TEST_CASE("predict volumes: of one input, what is wrong with it is the exit code; nothing is left behind") {
  const Bench bench;
  bench.model({.spacing = {1.5, 1.5, 2}});
  const auto fails = [&](const fs::path& file, const std::string& part) {
    const Outcome outcome = bench.predict({file});
    CAPTURE(outcome.err);
    CHECK(outcome.code == 3);
    CHECK(contains(outcome.err, file.string()));
    CHECK(contains(outcome.err, part));
    CHECK(bench.outputs().empty());
  };
  io::write_file(bench / "noise.nii.gz", std::string_view("nothing"));
  fails(bench / "noise.nii.gz", "expected");
  io::Bytes cut = io::read_file(bench.volume("cut.nii.gz", {20, 40, 36}));
  cut.resize(cut.size() / 2);
  io::write_file(bench / "cut.nii.gz", cut);
  fails(bench / "cut.nii.gz", "cut short");
  // Voxels of kilometres: no memory holds them at 1.5 mm.
  fails(bench.volume("far.nii.gz", {20, 20, 20}, {{{5e6, 0, 0, 0}, {0, 5e6, 0, 0}, {0, 0, 5e6, 0}}}),
        "fewer than 2^30 voxels");
  bench.volume("data/a.nii.gz", {9, 10, 11});
  fs::rename(bench / "far.nii.gz", bench / "data/far.nii.gz");
  CHECK(bench.predict({bench / "data"}).code == 7);
  CHECK(bench.outputs() == std::vector<std::string>{"a.nii.gz", "labels.json"});
}

TEST_CASE("predict volumes: the classes' names of a folder are not lost") {
  const Bench bench;
  bench.model();
  const fs::path a = bench.volume("a.nii.gz", {9, 10, 11}), b = bench.volume("b.nii.gz", {9, 10, 11}),
                 labels = bench.volume("labels.nii.gz", {9, 10, 11});
  CHECK(bench.predict({labels}, {"--statistics"}).code == 2);
  REQUIRE(bench.predict({a}).code == 0);
  CHECK(bench.predict({b}).code == 0);  // the same names
  bench.model({.classes = 2});
  const Outcome other = bench.predict({bench.volume("c.nii.gz", {9, 10, 11})});
  CHECK(other.code == 2);
  CHECK(contains(other.err, "names other classes"));
  CHECK(bench.read_json("labels.json").size() == 3);
}

TEST_CASE("predict volumes: names in upper and lower case, and as long as any, get their outputs") {
  const Bench bench;
  bench.model();
  bench.volume("in/C.NII.GZ", {9, 10, 11});
  bench.volume("in/d.Nii", {9, 10, 11});
  bench.volume("in/" + std::string(251, 'x') + ".nii", {9, 10, 11});
  const Outcome outcome = bench.predict({bench / "in"}, {"--statistics"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  const std::vector<std::string> names = bench.outputs();
  REQUIRE(names.size() == 7);
  CHECK(std::vector<std::string>(names.begin(), names.begin() + 5) ==
        std::vector<std::string>{"C.json", "C.nii.gz", "d.json", "d.nii.gz", "labels.json"});
  for (size_t i = 5; i < 7; ++i) CHECK(names[i].starts_with(std::string(200, 'x')));

  bench.volume("in/d.nii.gz", {9, 10, 11});
  const Outcome two = bench.predict({bench / "in"}, {"--overwrite"});
  CHECK(two.code == 2);
  CHECK(contains(two.err, "d.Nii"));
  CHECK(contains(two.err, "d.nii.gz"));
}

TEST_CASE("predict volumes: usage errors before any work") {
  const Bench bench;
  bench.model();
  const fs::path a = bench.volume("one/a.nii.gz", {9, 10, 11}), same = bench.volume("two/a.nii", {9, 10, 11});
  const Outcome both = bench.predict({a, same});
  CHECK(both.code == 2);
  CHECK(contains(both.err, "would both write"));
  CHECK(bench.predict({a}, {"--patch", "32", "32", "40"}).code == 2);
  CHECK(bench.predict({a}, {"--patch", "32", "32", "960000000"}).code == 2);
  CHECK(bench.predict({a}, {"--overlap", "1"}).code == 2);
  for (const char* memory : {"0", "-1", "-1G", "much", "1X", "-inf", "1e9", ""}) {
    const Outcome outcome = bench.predict({a}, {"--max-memory", memory});
    CHECK(outcome.code == 2);
    CHECK(contains(outcome.err, "--max-memory: expected bytes, or with K, M, G or T"));
  }
  const Outcome flat = bench.predict({a}, {"--threshold", "0.5"});
  CHECK(flat.code == 2);
  CHECK(contains(flat.err, "--threshold is for 2D models"));
  CHECK(!fs::exists(bench / "out"));
  REQUIRE(bench.predict({a}).code == 0);
  const Outcome exists = bench.predict({a});
  CHECK(exists.code == 2);
  CHECK(contains(exists.err, "--overwrite"));
  fs::create_directories(bench / "out");
  const fs::path inside = bench.volume("out/b.nii.gz", {9, 10, 11});
  CHECK(contains(bench.predict({inside}, {"--overwrite"}).err, "is an input"));
}

TEST_CASE("predict volumes: small components go by volume, and --min-volume 0.01 of 3 mm^3 voxels are 4") {
  const Bench bench;
  bench.model();
  const fs::path file = bench.volume("a.nii.gz", {33, 20, 30}, {{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 3, 0}}});
  REQUIRE(bench.predict({file}).code == 0);
  const Tensor all = io::read_nifti(bench / "out/a.nii.gz").voxels;
  REQUIRE(bench.predict({file}, {"--overwrite", "--min-volume", "0.01"}).code == 0);
  const Tensor want = all.to(DType::u8);
  transform::remove_small(want, 4);
  CHECK(testing::max_difference(io::read_nifti(bench / "out/a.nii.gz").voxels.to(DType::u8), want) == 0);
  CHECK(testing::max_difference(all.to(DType::u8), want) > 0);
  REQUIRE(bench.predict({file}, {"--overwrite", "--min-volume", "1000", "--statistics"}).code == 0);
  const Tensor none = io::read_nifti(bench / "out/a.nii.gz").voxels;
  CHECK(testing::max_magnitude(all) > 0);
  CHECK(testing::max_magnitude(none) == 0);
  CHECK(!bench.read_json("a.json")["labels"][0].contains("box"));
}

TEST_CASE("predict volumes: an interrupt ends it with 130 and leaves nothing behind") {
  const Bench bench;
  bench.model();
  const fs::path file = bench.volume("a.nii.gz", {96, 96, 96});
  const Outcome outcome = bench.predict({file}, {"--overlap", "0.9", "--probabilities", "--statistics"}, [](pid_t pid) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    kill(pid, SIGINT);
  });
  CHECK(outcome.code == 130);
  CHECK(contains(outcome.err, "interrupted"));
  CHECK(bench.outputs().empty());
}

TEST_CASE("predict volumes: --dry-run writes nothing; --max-memory below the estimate is 5 before anything starts") {
  const Bench bench;
  bench.model({.classes = 14, .patch = {64, 64, 64}});
  const fs::path file = bench.volume("a.nii.gz", {70, 80, 90});
  const Outcome dry = bench.predict({file}, {"--dry-run", "--tta"});
  CAPTURE(dry.out);
  CHECK(dry.code == 0);
  CHECK(contains(dry.out, "2 x 2 x 2 = 8 of 64 x 64 x 64, each mirrored 8 ways, advancing along axis W"));
  CHECK(contains(dry.out, "all: memory"));
  io::write_file(bench / "b.nii", std::string_view("no header"));
  const Outcome some = bench.predict({file, bench / "b.nii"}, {"--dry-run", "--max-memory", "20G"});
  CAPTURE(some.err);
  CHECK(some.code == 7);
  CHECK(contains(some.out, "fits into --max-memory"));
  CHECK(contains(some.err, "b.nii] its header cannot be read"));
  CHECK(contains(dry.out, "\nfits into this machine's memory, "));
  CHECK(contains(bench.predict({file}, {"--dry-run", "--max-memory", "1"}).out, "into --max-memory 1 bytes\n"));
  CHECK(contains(bench.predict({file}, {"--dry-run", "--max-memory", "0.5gib"}).out, "into --max-memory 536 MB\n"));
  CHECK(contains(bench.predict({file}, {"--dry-run", "--max-memory", "60M"}).out, "does not fit into --max-memory"));
  const Outcome refused = bench.predict({file}, {"--max-memory", "60M"});
  CAPTURE(refused.err);
  CHECK(refused.code == 5);
  CHECK(contains(refused.err, "the estimate is"));
  CHECK(contains(refused.err, "--patch "));
  CHECK(!fs::exists(bench / "out"));
}

TEST_CASE("predict volumes: what is read ahead changes nothing, and is reported when its turn comes") {
  const Bench bench;
  bench.model();
  std::vector<std::string> files;
  for (const char* name : {"a", "b", "c", "d"})
    files.push_back(bench.volume(std::string(name) + ".nii.gz", {20, 40, 36}));
  io::Bytes cut = io::read_file(files[1]);
  cut.resize(cut.size() / 2);
  io::write_file(files[1], cut);
  const Outcome all = bench.predict(files, {});
  CAPTURE(all.err);
  CHECK(all.code == 7);
  CHECK(contains(all.out, "3 of 4 volumes"));
  CHECK(contains(all.err, "b.nii.gz] its compressed data end early"));
  CHECK(bench.outputs() == std::vector<std::string>{"a.nii.gz", "c.nii.gz", "d.nii.gz", "labels.json"});
  const io::Bytes together = io::read_file(bench / "out" / "d.nii.gz");
  REQUIRE(bench.predict({files[3]}, {"--overwrite"}).code == 0);
  CHECK((io::read_file(bench / "out" / "d.nii.gz") == together));
}

TEST_CASE("predict volumes: nothing is read ahead that does not fit into --max-memory") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  MESSAGE("skipped: sanitizers take memory of their own");
#else
  const Bench bench;
  bench.model();
  std::vector<std::string> files;
  for (const char* name : {"a", "b"}) files.push_back(bench.volume(std::string(name) + ".nii.gz", {160, 160, 160}));
  const auto megabytes = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--overlap", "0", "--dry-run"});
    const Outcome plan = bench.predict(files, more);
    std::smatch found;
    REQUIRE(std::regex_search(plan.out, found, std::regex("all: memory ([0-9]+) MB")));
    return std::stoll(found[1]);
  };
  const int64_t ahead = megabytes({});
  const std::string less = std::to_string((ahead - 1) * 1'000'000);
  CHECK(megabytes({"--max-memory", less}) < ahead);
  int64_t peak = 0;
  const Outcome outcome =
      bench.predict(files, {"--overlap", "0", "--max-memory", less}, [&](pid_t pid) { peak = watch_peak(pid); });
  CAPTURE(outcome.err);
  CHECK(outcome.code == 0);
  CHECK(peak <= (ahead - 1) * 1'000'000);
#endif
}

// The bound of the plan: 0.9 E <= VmHWM <= E for E of 200 MB and more.
TEST_CASE("predict volumes: the estimate of memory holds, whatever it is made of") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  MESSAGE("skipped: sanitizers take memory of their own");
#else
  struct Case {
    std::string name;
    Options options;
    Size3 size;
    std::vector<std::string> more;
    int volumes = 1;
  };
  const Config full = Config::named("3d");
  const Case cases[] = {
      {"the network", {full.dims, full.splits, 14, {96, 96, 64}}, {96, 92, 64}, {}},
      {"probabilities in work", {.classes = 64}, {150, 170, 180}, {"--overlap", "0"}},
      {"voxels and a copy", {.spacing = {20, 20, 20}}, {290, 300, 310}, {"--keep-largest"}},
      {"labels resampled to large slices",
       {.classes = 64, .spacing = {2, 2, 9}},
       {90, 600, 600},
       {"--overlap", "0", "--preview"}},
      {"several volumes and pictures", {.spacing = {20, 20, 20}}, {290, 300, 310}, {"--overlap", "0", "--preview"}, 3},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const Bench bench;
    bench.model(c.options);
    const Affine affine{{{1, 0, 0, 0}, {0, 1, 0, 0}, {0, 0, 1, 0}}};
    std::vector<std::string> files;
    for (int i = 0; i < c.volumes; ++i) files.push_back(bench.volume(text("a", i, ".nii.gz"), c.size, affine));
    std::vector<std::string> dry = c.more;
    dry.push_back("--dry-run");
    const Outcome plan = bench.predict(files, dry);
    std::smatch found;
    REQUIRE(std::regex_search(plan.out, found, std::regex("all: memory ([0-9]+) MB")));
    const double estimate = std::stod(found[1]) * 1e6;
    int64_t peak = 0;
    const Outcome outcome = bench.predict(files, c.more, [&](pid_t pid) { peak = watch_peak(pid); });
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 0);
    MESSAGE(c.name, ": estimate ", estimate / 1e6, " MB, VmHWM ", static_cast<double>(peak) / 1e6, " MB; ", plan.out);
    CHECK(estimate >= 200e6);
    CHECK(static_cast<double>(peak) <= estimate);
    CHECK(static_cast<double>(peak) >= 0.9 * estimate);
  }
#endif
}
