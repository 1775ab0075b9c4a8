// What lgmsnet train trusts of the folder of a run: config.json, last.safetensors, metrics.csv, and nobody else in it.
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/io/bytes.h"
#include "core/io/files.h"
#include "core/io/output_file.h"
#include "core/io/safetensors.h"
#include "lgmsnet/volume_recipe.h"
#include "tests/support/discs.h"
#include "tests/support/folder.h"
#include "tests/support/program.h"
#include "tests/support/testing.h"

using namespace lgms;
using nlohmann::json;
using testing::Outcome;
namespace fs = std::filesystem;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

json tiny(int rank, int classes) {
  return {{"rank", rank},
          {"in_channels", rank == 2 ? 3 : 1},
          {"classes", classes},
          {"dims", {4, 4, 8, 12, 12}},
          {"splits", {{8, 4}, {8, 4}, {8, 4}, {4, 4}}},
          {"depths", {1, 1, 1}}};
}

// A finished run of two epochs of two steps, and the program going on with copies of it.
struct Finished : testing::Folder {
  Finished() {
    testing::write_discs(path() / "data", 6, 4, 40, 36);
    io::write_file(path() / "net.json", tiny(2, 1).dump());
    REQUIRE(train("good", {"--network", path() / "net.json", "--size", "32", "--epochs", "2", "--batch", "2"}).code ==
            0);
    config = json::parse(io::read_text(path() / "good/config.json"));
    checkpoint = io::read_safetensors(path() / "good/last.safetensors");
  }

  Outcome train(const std::string& run, std::vector<std::string> more = {},
                const std::function<void(pid_t)>& meanwhile = {}) const {
    std::vector<std::string> arguments{"train", "--data", path() / "data", "--out", path() / run, "-t", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return testing::run_program(LGMS_PROGRAM, arguments, meanwhile);
  }
  // A fresh copy of the run as "run"; begun: without a checkpoint, as a kill before the first one leaves it.
  void copy(bool begun = false) const {
    fs::remove_all(path() / "run");
    fs::copy(path() / "good", path() / "run", fs::copy_options::recursive);
    if (begun)
      for (const char* name : {"last.safetensors", "metrics.csv"}) fs::remove(path() / "run" / name);
  }
  Outcome resume_with(const json& changed, bool begun) const {
    copy(begun);
    io::write_file(path() / "run/config.json", changed.dump());
    return train("run", {"--resume"});
  }
  Outcome resume_with(const io::Metadata& metadata) const {
    copy();
    io::write_safetensors(path() / "run/last.safetensors", checkpoint.tensors, metadata);
    return train("run", {"--resume"});
  }

  json config;
  io::Safetensors checkpoint;
};

void wait_for(const fs::path& path) {
  for (int i = 0; i < 4000 && !fs::exists(path); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

}  // namespace

TEST_CASE("resume: an option in config.json is held to what the command line is, exit 2 with file and name") {
  const Finished f;
  REQUIRE(f.resume_with(f.config, true).code == 0);
  REQUIRE(f.resume_with(f.config, false).code == 0);
  const std::vector<std::pair<std::string, std::vector<json>>> wrong{
      {"val-every", {0, -1, 1000001, 1.5, "1", nullptr, json::array(), true, int64_t{1} << 40, UINT64_MAX}},
      {"accumulate", {0, -1, 4097}},
      {"epochs", {0, -3, 2000000, 1e300}},
      {"batch", {0, -2, 1 << 20}},
      {"crops", {0, -1, 10001}},
      {"size", {0, 31, 33, 40, -32, 8192}},
      {"mask-threshold", {-1, 1 << 20, INT64_MIN, int64_t{1} << 32}},
      {"lr", {0, -0.1, 1e-13, 1e9, "0.1"}},
      {"seed", {-1, 0.5, "7"}},
      {"patch", {32, {32}, {32, 32}, {32, 32, 33}, {32, 32, 0}, {32, 32, 32, 32}, {32, 32, "32"}, "32 32 32"}},
      {"spacing", {{1}, {1, 1, 0}, {1, 1, -1}, {1, 1, 1e9}, {1, 1, nullptr}}},
      {"recipe", {"", "default-4d", 2}},
      {"train-list", {7, json::array(), std::string("a\0b", 3)}},
      {"checkpointing", {1, "yes"}},
      {"colour", {1}}};
  for (const auto& [name, values] : wrong)
    for (const json& value : values)
      for (const bool begun : {true, false}) {
        json changed = f.config;
        changed["arguments"][name] = value;
        const Outcome refused = f.resume_with(changed, begun);
        CAPTURE(refused.err);
        CAPTURE(value.dump());
        CHECK(refused.code == 2);
        CHECK(contains(refused.err, "run/config.json] " + name + ": expected "));
      }
  // The same numbers on the command line.
  for (const auto& [option, value] :
       std::vector<std::pair<std::string, std::string>>{{"--val-every", "0"},
                                                        {"--accumulate", "0"},
                                                        {"--epochs", "-1"},
                                                        {"--lr", "nan"},
                                                        {"--lr", "inf"},
                                                        {"--lr", "0"},
                                                        {"--size", "48"},
                                                        {"--seed", "-1"},
                                                        {"--seed", "18446744073709551616"},
                                                        {"--batch", "010"},
                                                        {"--recipe", ""}}) {
    const Outcome refused = f.train("new", {"--network", f / "net.json", option, value});
    CAPTURE(refused.err);
    CHECK(refused.code == 2);
    CHECK(contains(refused.err, option + ": expected "));
    CHECK(contains(refused.err, "got " + value));
    CHECK(!fs::exists(f / "new"));
  }
}

TEST_CASE("resume: what config.json says of network, recipe and classes must fit, exit 2 with file and name") {
  const Finished f;
  const auto refused = [&](const std::string& part, const std::function<void(json&)>& change) {
    json changed = f.config;
    change(changed);
    const Outcome outcome = f.resume_with(changed, false);
    CAPTURE(outcome.err);
    CHECK(outcome.code == 2);
    CHECK(contains(outcome.err, "run/config.json] " + part));
  };
  refused("config dims: expected", [](json& c) { c["network"]["dims"][0] = -4; });
  refused("config splits", [](json& c) { c["network"]["splits"][0] = {12, 0}; });
  refused("config rank", [](json& c) { c["network"]["rank"] = 4; });
  refused("network rank: expected 2, as default-2d needs, got 3", [](json& c) {
    c["network"]["rank"] = 3;
    c["recipe"] = json::parse(VolumeRecipe().to_json());
  });
  refused("recipe", [](json& c) { c["network"]["rank"] = 3; });
  refused("classes: expected 2 name(s)", [](json& c) { c["network"]["classes"] = 2; });
  refused("classes: expected 1 name(s)", [](json& c) { c["classes"] = {"a", "b"}; });
  refused("classes: expected names, got 5", [](json& c) { c["classes"] = {5}; });
  refused("classes: expected", [](json& c) { c["classes"] = "a"; });
  refused("expected the network", [](json& c) { c.erase("network"); });
  refused("recipe: expected ", [](json& c) { c["recipe"]["size"] = {64, 64}; });
  refused("recipe", [](json& c) { c["recipe"] = 7; });
  refused("expected the configuration of a run", [](json& c) { c.erase("arguments"); });
  f.copy();
  std::string config = io::read_text(f / "run/config.json");
  const size_t at = config.find("\"lr\": 0.02");
  REQUIRE(at != std::string::npos);
  io::write_file(f / "run/config.json", config.replace(at, 10, "\"lr\": 1e999"));
  CHECK(f.train("run", {"--resume"}).code == 2);
  // Another network, of the same kind, is another run.
  json other = f.config;
  other["network"]["dims"][2] = 12;
  other["network"]["splits"][3] = {8, 4};
  const Outcome different = f.resume_with(other, false);
  CHECK(different.code == 2);
  CHECK(contains(different.err, "[resume] network: "));
}

TEST_CASE("resume: a checkpoint in which no run can stand is a bad model, exit 4 with file and entry") {
  const Finished f;
  io::Metadata good = f.checkpoint.metadata;
  good.erase("lgms.metadata_checksum");
  REQUIRE(f.resume_with(good).code == 0);
  for (const auto& [key, values] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"lgms.batch", {"-1", "-1000000", "1", "9223372036854775807", "9223372036854775808", "0x1", "nan", ""}},
           {"lgms.epoch", {"-1", "3"}},
           {"lgms.step", {"0", "-4", "5"}},
           {"lgms.loss_sum", {"1", "nan", "-1", "inf"}},
           {"lgms.best", {"nan", "2", "-2", "1e999"}},
           {"lgms.best_epoch", {"0", "3", "-1"}},
           {"lgms.setting.batch", {"0", "-5", "two", "2.5", "1e9", ""}},
           {"lgms.setting.accumulate", {"0"}},
           {"lgms.setting.val-every", {"0"}},
           {"lgms.setting.epochs", {"-1"}},
           {"lgms.setting.lr", {"nan", "-1", "0"}},
           {"lgms.setting.seed", {"-1"}},
           {"lgms.setting.size", {"33"}},
           {"lgms.setting.mask-threshold", {"-1"}},
           {"lgms.setting.colour", {"1"}},
           {"lgms.checkpoint", {"2"}}})
    for (const std::string& value : values) {
      io::Metadata changed = good;
      changed[key] = value;
      const Outcome refused = f.resume_with(changed);
      const std::string line = key + '=' + value;
      CAPTURE(line);
      CAPTURE(refused.err);
      CHECK(refused.code == 4);
      CHECK(contains(refused.err, "last.safetensors] " + key + ": expected "));
    }
  io::Metadata other = good;
  other["lgms.setting.batch"] = "3";  // a batch that a run could have
  CHECK(f.resume_with(other).code == 2);
}

TEST_CASE("resume: a flipped bit in last.safetensors or model.safetensors is found by every verb that reads it") {
  const Finished f;
  const std::string picture = f / "data/images/disc (4).png", data = f / "data";
  for (const std::string name : {"last.safetensors", "model.safetensors"}) {
    const io::Bytes good = io::read_file(f / "good" / name);
    uint64_t header = 0;
    std::memcpy(&header, good.data(), sizeof header);
    const size_t first = 8 + header;
    for (int i = 0; i <= 16; ++i) {
      const size_t at = first + (good.size() - 1 - first) * static_cast<size_t>(i) / 16;
      io::Bytes bad = good;
      bad[at] ^= static_cast<uint8_t>(1 << i % 8);
      f.copy();
      const std::string path = f / "run" / name;
      io::write_file(path, bad);
      std::vector<Outcome> outcomes;
      if (name == "last.safetensors") {
        outcomes.push_back(f.train("run", {"--resume"}));
      } else {
        outcomes.push_back(testing::run_program(LGMS_PROGRAM, {"info", path}));
        outcomes.push_back(testing::run_program(LGMS_PROGRAM, {"summary", "-m", path}));
        outcomes.push_back(
            testing::run_program(LGMS_PROGRAM, {"predict", "-m", path, "-i", picture, "-o", f / "out", "-t", "1"}));
        outcomes.push_back(
            testing::run_program(LGMS_PROGRAM, {"eval", "-m", path, "--data", data, "--list", "val.txt", "-t", "1"}));
        outcomes.push_back(f.train("new", {"--init", path, "--size", "32"}));
      }
      for (const Outcome& outcome : outcomes) {
        CAPTURE(outcome.err);
        CHECK(outcome.code == 4);
        CHECK(contains(outcome.err, name + "] lgms.checksum: expected crc32:"));
      }
    }
  }
}

TEST_CASE("resume: a flipped bit in a checkpoint's header never makes another training") {
  const Finished f;
  const io::Bytes good = io::read_file(f / "good/last.safetensors");
  const io::Bytes model = io::read_file(f / "good/model.safetensors");
  const std::string text(good.begin(), good.end());
  std::vector<size_t> places;
  for (const char* entry : {"lgms.setting.lr", "lgms.loss_sum", "lgms.best\"", "lgms.best_epoch", "lgms.epoch",
                            "lgms.isa", "lgms.metadata_checksum", "lgms.setting.seed"}) {
    const size_t at = text.find(entry);
    REQUIRE(at != std::string::npos);
    places.push_back(at + 3);
    places.push_back(text.find("\":\"", at) + 3);  // the first character of its value
  }
  for (const size_t at : places) {
    f.copy();
    io::Bytes bad = good;
    bad[at] ^= 1;
    io::write_file(f / "run/last.safetensors", bad);
    const Outcome outcome = f.train("run", {"--resume"});
    CAPTURE(outcome.err);
    CHECK((outcome.code == 4 || outcome.code == 0));
    if (outcome.code == 0) CHECK(io::read_file(f / "run/model.safetensors") == model);
  }
}

TEST_CASE("resume: metrics.csv must be the run's, exit 3 with file and line") {
  const Finished f;
  const std::string good = io::read_text(f / "good/metrics.csv");
  const size_t second = good.find('\n') + 1, third = good.find('\n', second) + 1;
  const auto refused = [&](const std::string& csv, const std::string& part) {
    f.copy();
    io::write_file(f / "run/metrics.csv", csv);
    const Outcome outcome = f.train("run", {"--resume"});
    CAPTURE(outcome.err);
    CHECK(outcome.code == 3);
    CHECK(contains(outcome.err, "run/metrics.csv] " + part));
  };
  refused(good.substr(0, third), "line 3: expected the row of epoch 2");
  refused(good.substr(0, good.size() - 2), "line 3: expected a line that ends");
  refused(good.substr(0, second) + good.substr(third), "line 2: expected epoch 1, step 2, got 2, 4");
  refused("epoch,step\n1,2\n2,4\n", "line 1: expected the columns");
  f.copy();
  fs::remove(f / "run/metrics.csv");
  CHECK(f.train("run", {"--resume"}).code == 3);
}

TEST_CASE("train: a folder has one training at a time; one that was killed leaves no lock") {
  const Finished f;
  const std::vector<std::string> shape{"--network", f / "net.json", "--size",  "32",
                                       "--epochs",  "100000",       "--batch", "2"};
  f.train("long", shape, [&](pid_t first) {
    wait_for(f / "long/last.safetensors");
    const io::Bytes config = io::read_file(f / "long/config.json");
    std::vector<std::string> resumed = shape;
    resumed.emplace_back("--resume");
    for (const auto& more : {shape, resumed, {"--resume"}}) {
      const Outcome second = f.train("long", more);
      CAPTURE(second.err);
      CHECK(second.code == 2);
      CHECK(contains(second.err, text("long] another training is at work in this folder (process ", first, ")")));
    }
    CHECK(io::read_file(f / "long/config.json") == config);
    kill(first, SIGKILL);
  });
  const Outcome third = f.train("long", {"--resume"}, [&](pid_t pid) {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    kill(pid, SIGINT);
  });
  CAPTURE(third.err);
  CHECK(third.code == 130);
  CHECK(!fs::exists(f / "long/.lock"));
  fs::create_directory(f / "long/.lock");
  const Outcome blocked = f.train("long", {"--resume"});
  CHECK(blocked.code == 1);
  CHECK(contains(blocked.err, "long/.lock] cannot be opened: Is a directory"));
}

TEST_CASE("train: paths that cannot be looked at, pipes and devices end it at once, with a name") {
  const Finished f;
  const std::string pipe = f / "pipe.json", loop = f / "loop.json", far = f / (std::string(300, 'x') + ".json");
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  fs::create_symlink("loop.json", loop);
  for (const std::string& path : {pipe, loop, far, std::string("/dev/zero")}) {
    for (const auto& [option, codes] : std::vector<std::pair<std::string, std::vector<int>>>{
             {"--network", {2, 4}}, {"--init", {4}}, {"--data", {3}}, {"--out", {1}}}) {
      const auto start = std::chrono::steady_clock::now();
      std::map<std::string, std::string> options{{"--data", f / "data"}, {"--out", f / "new"}};
      options[option] = path;
      std::vector<std::string> arguments{"train", "-t", "1"};
      for (const auto& [name, value] : options) arguments.insert(arguments.end(), {name, value});
      const Outcome outcome = testing::run_program(LGMS_PROGRAM, arguments);
      CAPTURE(path);
      CAPTURE(outcome.err);
      CHECK(std::find(codes.begin(), codes.end(), outcome.code) != codes.end());
      CHECK(contains(outcome.err, path));
      CHECK(!contains(outcome.err, "internal"));
      CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
    }
  }
  io::write_file(f / "file", std::string_view("not a folder"));
  for (const std::string out : {"file", "file/run", "loop.json/run"}) {
    const Outcome outcome = f.train(out);
    CAPTURE(outcome.err);
    CHECK(outcome.code == 1);
    CHECK(!contains(outcome.err, "internal"));
  }
  f.copy();
  for (const char* name : {"config.json", "last.safetensors", "metrics.csv"}) {
    f.copy();
    fs::remove(f / "run" / name);
    REQUIRE(mkfifo((f / "run" / name).c_str(), 0600) == 0);
    const Outcome outcome = f.train("run", {"--resume"});
    CAPTURE(outcome.err);
    CHECK(outcome.code == (name[0] == 'c' ? 2 : name[0] == 'l' ? 4 : 3));
    CHECK(contains(outcome.err, name));
  }
}

TEST_CASE("train: where files may not grow it ends with 1, and goes on from the checkpoint once they may") {
  const Finished f;
  const std::vector<std::string> shape{"--network", f / "net.json", "--size", "32", "--epochs", "2", "--batch", "2"};
  for (const int blocks : {0, 1, 4, 40, 120}) {
    CAPTURE(blocks);
    const std::string run = f / ("full" + std::to_string(blocks));
    const std::string command =
        text("ulimit -f ", blocks, "; exec ", LGMS_PROGRAM, " train --data '", (f / "data").string(), "' --network '",
             (f / "net.json").string(), "' --size 32 --epochs 2 --batch 2 -t 1 --out '", run, "'");
    const Outcome full = testing::run_program("/bin/sh", {"-c", command + " 2>/dev/null"});
    CHECK(full.code == 1);
    std::vector<std::string> again = shape;
    if (fs::exists(run + "/config.json")) again.emplace_back("--resume");
    const Outcome outcome = f.train("full" + std::to_string(blocks), again);
    CAPTURE(outcome.err);
    CHECK(outcome.code == 0);
    CHECK(io::read_file(run + "/model.safetensors") == io::read_file(f / "good/model.safetensors"));
  }
}
