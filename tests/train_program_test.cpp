// lgmsnet train and eval from outside.
#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/formats/image.h"
#include "core/io/bytes.h"
#include "core/io/output_file.h"
#include "core/rng.h"
#include "tests/support/discs.h"
#include "tests/support/folder.h"
#include "tests/support/program.h"
#include "tests/support/testing.h"

using namespace lgms;
using testing::Outcome;
namespace fs = std::filesystem;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// A folder with data, and the program run on it.
struct Bench : testing::Folder {
  Bench() { testing::write_discs(path() / "data", 6, 4, 40, 36); }

  Outcome train(const std::string& run, std::vector<std::string> more = {},
                const std::function<void(pid_t)>& meanwhile = {}, const std::string& threads = "1") const {
    std::vector<std::string> arguments{"train",   "--data", path() / "data", "--size",     "32", "--epochs", "3",
                                       "--batch", "2",      "--out",         path() / run, "-t", threads};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return testing::run_program(LGMS_PROGRAM, arguments, meanwhile);
  }
  io::Bytes file(const std::string& run, const std::string& name) const { return io::read_file(path() / run / name); }
};

void wait_for(const fs::path& path) {
  for (int i = 0; i < 2000 && !fs::exists(path); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

}  // namespace

TEST_CASE("train: a run leaves everything it should, and the same bytes for any number of threads") {
  const Bench bench;
  const Outcome one = bench.train("one"), two = bench.train("two", {}, {}, "2");
  CAPTURE(one.err);
  REQUIRE(one.code == 0);
  REQUIRE(two.code == 0);
  CHECK(contains(one.out, "best epoch "));
  CHECK(contains(one.out, "model.safetensors"));
  CHECK(contains(one.err, "epoch 3/3"));
  CHECK(!contains(one.err, "\r"));  // no terminal, no bar
  for (const char* name :
       {"config.json", "metrics.csv", "last.safetensors", "model.safetensors", "loss.svg", "dice.svg"})
    CHECK(bench.file("one", name) == bench.file("two", name));
  CHECK(fs::exists(bench / "one/overlays/disc (4).png"));
  const auto config = nlohmann::json::parse(bench.file("one", "config.json"));
  CHECK(config["arguments"]["epochs"] == 3);
  CHECK(config["recipe"]["size"] == nlohmann::json({32, 32}));
}

TEST_CASE(
    "train: interrupted by a signal it saves and says so; killed it goes on from the last checkpoint; same bytes") {
  const Bench bench;
  REQUIRE(bench.train("whole").code == 0);
  const Outcome stopped = bench.train("parts", {}, [&](pid_t child) {
    wait_for(bench / "parts/last.safetensors");
    kill(child, SIGINT);
  });
  CAPTURE(stopped.err);
  CHECK(stopped.code == 130);
  CHECK(contains(stopped.err, "--resume"));
  Rng rng(1, Purpose::test);
  for (int i = 0; i < 3; ++i)
    bench.train("parts", {"--resume"}, [&](pid_t child) {
      std::this_thread::sleep_for(std::chrono::milliseconds(rng.below(400)));
      kill(child, SIGKILL);
    });
  const Outcome resumed = bench.train("parts", {"--resume"}, {}, "2");
  CAPTURE(resumed.err);
  CHECK(resumed.code == 0);
  for (const char* name : {"metrics.csv", "last.safetensors", "model.safetensors"})
    CHECK(bench.file("whole", name) == bench.file("parts", name));
}

TEST_CASE("train: resuming asks for the same settings, and remembers those that are not given") {
  const Bench bench;
  CHECK(bench.train("run", {"--resume"}).code == 2);  // nothing there
  REQUIRE(bench.train("run").code == 0);
  const Outcome again = bench.train("run");
  CHECK(again.code == 2);
  CHECK(contains(again.err, "already holds a run"));
  const auto resume = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{"train",       "--data",   bench / "data", "--out",
                                       bench / "run", "--resume", "-t",           "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return testing::run_program(LGMS_PROGRAM, arguments);
  };
  io::write_file(bench / "narrow.json", R"({"rank": 2, "in_channels": 3, "classes": 1, "dims": [8, 8, 16, 16, 16],
      "splits": [[8, 8], [8, 8], [8, 8], [8, 8]], "depths": [1, 1, 1]})");
  CHECK(resume({"--network", "2d"}).code == 0);  // the run's own
  CHECK(resume({}).code == 0);                   // size, epochs, batch from config.json; nothing left to do
  for (const std::vector<std::string>& changed :
       std::vector<std::vector<std::string>>{{"--epochs", "4"},
                                             {"--batch", "4"},
                                             {"--lr", "0.01"},
                                             {"--seed", "7"},
                                             {"--size", "64"},
                                             {"--recipe", "paper-2d"},
                                             {"--network", bench / "narrow.json"},
                                             {"--mask-threshold", "9"},
                                             {"--val-list", "train.txt"}}) {
    const Outcome refused = resume(changed);
    CAPTURE(refused.err);
    CHECK(refused.code == 2);
    CHECK(contains(refused.err, "[resume] " + changed[0].substr(2) + ":"));
  }
}

TEST_CASE("train: bad data ends a run before it starts, with code 3 and the file's name") {
  const Bench bench;
  const auto expect = [&](const std::string& part, std::vector<std::string> more = {}) {
    const Outcome refused = bench.train("run", more);
    CAPTURE(refused.err);
    CHECK(refused.code == 3);
    CHECK(contains(refused.err, part));
    CHECK(!fs::exists(bench / "run/last.safetensors"));
  };
  io::write_file(bench / "data/bad.txt", std::string_view("disc (0)\nnone\n"));
  expect("images] no image of \"none\"", {"--train-list", "bad.txt"});
  expect("nowhere.txt] expected a readable file", {"--val-list", "nowhere.txt"});
  const fs::path mask = bench / "data/masks/0/disc (5).png";
  io::write_png(mask, Tensor::full({40, 36, 1}, 77, DType::u8));
  expect("disc (5).png] values: expected background 0");
  io::write_png(mask, Tensor::full({40, 35, 1}, 255, DType::u8));
  expect("disc (5).png] size: expected 40 x 36");
  fs::remove(mask);
  expect("masks/0] no mask of \"disc (5)\"");
  io::write_file(mask, std::string_view("\x89PNG, or is it"));
  expect("disc (5).png");
}

TEST_CASE("train: unknown flags, odd sizes and unwritable folders have their codes") {
  const Bench bench;
  CHECK(bench.train("run", {"--colour"}).code == 2);
  const Outcome odd =
      testing::run_program(LGMS_PROGRAM, {"train", "--data", bench / "data", "--size", "40", "--out", bench / "run"});
  CHECK(odd.code == 2);
  CHECK(contains(odd.err, "--size: expected a multiple of 32 from 32 to 4096, got 40"));
  io::write_file(bench / "file", std::string_view("not a folder"));
  CHECK(bench.train("file").code == 1);
}

TEST_CASE("train: --init starts from weights, which a resumed run needs no more; another number of classes is 4") {
  const Bench bench;
  REQUIRE(bench.train("first").code == 0);
  const fs::path weights = bench / "weights.safetensors";
  fs::copy(bench / "first/model.safetensors", weights);
  REQUIRE(bench.train("second", {"--init", weights}).code == 0);
  CHECK(bench.file("first", "metrics.csv") != bench.file("second", "metrics.csv"));
  fs::remove(weights);
  CHECK(bench.train("second", {"--resume"}).code == 0);
  CHECK(bench.train("third", {"--init", weights}).code == 4);
  fs::copy(bench / "first/model.safetensors", weights);
  fs::copy(bench / "data/masks/0", bench / "data/masks/1");
  const Outcome refused = bench.train("third", {"--init", weights});
  CHECK(refused.code == 4);
  CHECK(contains(refused.err, "expected a 2D network of 2 classes"));
  CHECK(bench.train("third").code == 0);
  CHECK(bench.train("first", {"--resume"}).code == 4);
}

TEST_CASE("train: a run that diverges ends with 1, names the step and keeps the last finite checkpoint") {
  const Bench bench;
  const Outcome outcome = bench.train("run", {"--lr", "1e3"});
  CAPTURE(outcome.err);
  CHECK(outcome.code == 1);
  CHECK(contains(outcome.err, "step "));
  CHECK(contains(outcome.err, "kept") != contains(outcome.err, "last finite checkpoint"));
  CHECK(fs::exists(bench / "run/last.safetensors"));
}

TEST_CASE("train: folders of masks are 0, 1, ... and nothing else; eval wants as many as the model has classes") {
  const Bench bench;
  REQUIRE(bench.train("run").code == 0);
  const fs::path masks = bench / "data/masks";
  const auto refused = [&](const std::string& name) {
    const Outcome o = bench.train("other");
    CAPTURE(o.err);
    CHECK(o.code == 3);
    CHECK(contains(o.err, "masks/" + name + "] expected folders 0, 1, ..."));
  };
  for (const char* name : {"2", "01"}) {
    fs::create_directory(masks / name);
    refused(name);
    fs::remove(masks / name);
  }
  fs::create_symlink("nowhere", masks / "1");
  refused("1");
  fs::remove(masks / "1");
  fs::create_directory(masks / "notes");
  CHECK(bench.train("run", {"--resume"}).code == 0);
  fs::copy(masks / "0", masks / "1");
  const Outcome eval = testing::run_program(
      LGMS_PROGRAM, {"eval", "-m", bench / "run/model.safetensors", "--data", bench / "data", "-t", "1"});
  CHECK(eval.code == 3);
  CHECK(contains(eval.err, "expected 1 class(es)"));
}

TEST_CASE("train: a run whose best model is gone, or damaged, does not go on to name it") {
  const Bench bench;
  REQUIRE(bench.train("run").code == 0);
  io::write_file(bench / "run/model.safetensors", std::string_view(""));
  CHECK(bench.train("run", {"--resume"}).code == 4);
  fs::remove(bench / "run/model.safetensors");
  const Outcome o = bench.train("run", {"--resume"});
  CHECK(o.code == 4);
  CHECK(contains(o.err, "run/model.safetensors] "));
}

TEST_CASE("train: names in both lists are worth a warning") {
  const Bench bench;
  const Outcome outcome = bench.train("run", {"--val-list", "train.txt"});
  CHECK(outcome.code == 0);
  CHECK(contains(outcome.err, "warning: 4 names stand in both lists"));
}

TEST_CASE("eval: the grid score is the training log's, the JSON holds every image") {
  const Bench bench;
  REQUIRE(bench.train("run").code == 0);
  const std::string model = bench / "run/model.safetensors", data = bench / "data";
  const auto eval = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{"eval", "-m", model, "--data", data, "--list", "val.txt", "-t", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return testing::run_program(LGMS_PROGRAM, arguments);
  };
  const Outcome grid = eval({"--network-size", "--json"}), native = eval({"--json"});
  REQUIRE(grid.code == 0);
  REQUIRE(native.code == 0);
  const auto report = nlohmann::json::parse(grid.out);
  CHECK(report["images"].size() == 2);
  CHECK(report["images"][0]["stem"] == "disc (4)");
  double sum = 0;
  for (const auto& image : report["images"]) sum += image["dice"].get<double>();
  CHECK(report["mean"]["dice"].get<double>() == doctest::Approx(sum / 2));
  // The best epoch's val_dice, as train printed it.
  const Outcome done = bench.train("run", {"--resume"});
  const size_t at = done.out.find("val_dice ");
  REQUIRE(at != std::string::npos);
  CHECK(std::stod(done.out.substr(at + 9)) == doctest::Approx(report["mean"]["dice"].get<double>()).epsilon(1e-3));
  CHECK(contains(eval({}).out, "dice"));
  CHECK(eval({"--list", "none.txt"}).code != 0);
}
