// lgmsnet train on volumes, from outside.
#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/formats/nifti.h"
#include "core/io/bytes.h"
#include "core/io/output_file.h"
#include "tests/support/balls.h"
#include "tests/support/folder.h"
#include "tests/support/program.h"
#include "tests/support/testing.h"

using namespace lgms;
using testing::Outcome;
namespace fs = std::filesystem;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

constexpr const char* kTiny = R"({"rank": 3, "in_channels": 1, "classes": 3, "dims": [8, 8, 16, 16, 16],
    "splits": [[8, 8], [8, 8], [8, 8], [8, 8]], "depths": [1, 1, 1]})";

// A folder with volumes, and the program run on it.
struct Bench : testing::Folder {
  Bench() {
    testing::write_balls(path() / "data", 5, 3, {34, 30, 28});
    io::write_file(path() / "tiny.json", kTiny);
  }
  Outcome train(const std::string& run, const std::vector<std::string>& more = {},
                const std::function<void(pid_t)>& meanwhile = {}, const std::string& threads = "1") const {
    std::vector<std::string> arguments{"train",    "--data", path() / "data", "--network",  path() / "tiny.json",
                                       "--epochs", "2",      "--out",         path() / run, "-t",
                                       threads};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return testing::run_program(LGMS_PROGRAM, arguments, meanwhile);
  }
  io::Bytes file(const std::string& run, const std::string& name) const { return io::read_file(path() / run / name); }
};

}  // namespace

TEST_CASE("train volumes: a run leaves everything it should, and the same bytes for any number of threads") {
  const Bench bench;
  const Outcome one = bench.train("one"), two = bench.train("two", {}, {}, "2");
  CAPTURE(one.err);
  REQUIRE(one.code == 0);
  REQUIRE(two.code == 0);
  CHECK(contains(one.err, "3 volumes, 2 for validation, 3 class(es)"));
  CHECK(contains(one.err, "val_dice_2"));
  for (const char* name :
       {"config.json", "metrics.csv", "last.safetensors", "model.safetensors", "loss.svg", "dice.svg"})
    CHECK(bench.file("one", name) == bench.file("two", name));
  CHECK(fs::exists(bench / "one/overlays/ball_3.png"));
  const auto config = nlohmann::json::parse(bench.file("one", "config.json"));
  CHECK(config["recipe"]["name"] == "default-3d");
  CHECK(config["recipe"]["patch"] == nlohmann::json({32, 32, 32}));
  CHECK(config["classes"] == nlohmann::json({"background", "class 1", "class 2"}));
  CHECK(config["optimizer"]["name"] == "adamw");
}

TEST_CASE("train volumes: checkpointing changes no bit") {
  const Bench bench;
  REQUIRE(bench.train("plain").code == 0);
  REQUIRE(bench.train("lean", {"--checkpointing"}).code == 0);
  CHECK(bench.file("plain", "model.safetensors") == bench.file("lean", "model.safetensors"));
}

TEST_CASE("train volumes: interrupted anywhere, it goes on with the same bits") {
  const Bench bench;
  REQUIRE(bench.train("whole", {"--crops", "3"}).code == 0);
  int interruptions = 0;
  Outcome outcome = bench.train("parts", {"--crops", "3"}, [](pid_t pid) {
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    ::kill(pid, SIGKILL);
  });
  while (outcome.code != 0 && interruptions < 50) {
    ++interruptions;
    outcome = bench.train("parts", {"--resume"}, [&](pid_t pid) {
      std::this_thread::sleep_for(std::chrono::milliseconds(300 + 300 * interruptions));
      ::kill(pid, interruptions % 2 == 0 ? SIGKILL : SIGTERM);
    });
    if (!fs::exists(bench / "parts/config.json")) outcome = bench.train("parts", {"--crops", "3"});
  }
  CAPTURE(outcome.err);
  CHECK(outcome.code == 0);
  CHECK(interruptions > 0);
  for (const char* name : {"metrics.csv", "last.safetensors", "model.safetensors"})
    CHECK(bench.file("whole", name) == bench.file("parts", name));
}

TEST_CASE("train volumes: datalists, gradients in parts, other spacings, the paper's recipe") {
  const Bench bench;
  io::write_file(bench / "data/list.json", R"({"labels": {"background": 0, "a": 1, "b": 2},
      "training": [{"image": "imagesTr/ball_0.nii.gz", "label": "labelsTr/ball_0.nii.gz"}],
      "validation": [{"image": "imagesTr/ball_1.nii.gz", "label": "labelsTr/ball_1.nii.gz"}]})");
  const std::vector<std::string> lists{"--train-list", "list.json", "--val-list", "list.json"};
  std::vector<std::string> more = lists;
  for (const char* option : {"--batch", "2", "--accumulate", "2", "--crops", "2", "--spacing", "2", "1", "1.1"})
    more.emplace_back(option);
  const Outcome spaced = bench.train("spaced", more);
  CAPTURE(spaced.err);
  CHECK(spaced.code == 0);
  const auto config = nlohmann::json::parse(bench.file("spaced", "config.json"));
  CHECK(config["classes"] == nlohmann::json({"background", "a", "b"}));
  CHECK(config["recipe"]["spacing"] == nlohmann::json({2.0, 1.0, 1.1}));
  more = lists;
  for (const char* option : {"--recipe", "paper-3d", "--patch", "32", "32", "32", "--batch", "2"})
    more.emplace_back(option);
  const Outcome paper = bench.train("paper", more);
  CAPTURE(paper.err);
  CHECK(paper.code == 0);
}

TEST_CASE("train volumes: stems may lead out of the folders, pictures stay in theirs") {
  const Bench bench;
  fs::copy_file(bench / "data/labelsTr/ball_3.nii.gz", bench / "stolen.nii.gz");
  io::write_file(bench / "data/val.txt", "../../stolen\n");
  const Outcome outcome = bench.train("deep/run");
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(fs::exists(bench / "deep/run/overlays/___.._stolen.png"));
  for (const auto& entry : fs::recursive_directory_iterator(bench.path()))
    if (entry.path().extension() == ".png") CHECK(entry.path().parent_path() == bench / "deep/run/overlays");
}

TEST_CASE("train volumes: bad data and arguments end before the first step, each with its code and the file's name") {
  const Bench bench;
  const auto fails = [&](const std::vector<std::string>& more, int code, const std::string& part) {
    const Outcome outcome = bench.train("bad", more);
    CAPTURE(outcome.err);
    CHECK(outcome.code == code);
    CHECK(contains(outcome.err, part));
  };
  fails({"--size", "64"}, 2, "--size");
  fails({"--patch", "33", "32", "32"}, 2, "multiples of 32");
  fails({"--patch", "32", "040", "32"}, 2, "got 040");
  fails({"--spacing", "1", "nan", "1"}, 2, "--spacing: expected three numbers from 0.001 to 1000, got 1 nan 1");
  fails({"--classes", "a,b"}, 4, "expected a 3D network of 2 classes");
  fails({"--classes", "background,a,ignore"}, 2, "not annotated");
  fails({"--classes", "background,a,a"}, 2, "--classes: expected each name once");
  fails({"--classes", "background,a,\xff"}, 2, "--classes: expected names in UTF-8");
  fails({"--train-list", "nothing.txt"}, 3, "nothing.txt");
  io::write_file(bench / "data/labelsTr/ball_1.nii.gz", "not a volume, and long enough to hold something else");
  fails({}, 3, "ball_1.nii.gz");
  io::write_nifti(bench / "data/labelsTr/ball_1.nii.gz", Tensor::zeros({3, 3, 3, 1}),
                  io::make_nifti_header({3, 3, 3}, kIdentityAffine));
  fails({"--classes", "background,a,b"}, 3, "expected 27 x 30 x 35 voxels");
  CHECK(!fs::exists(bench / "bad/last.safetensors"));
}
