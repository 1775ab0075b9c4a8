#include <fstream>
#include <iterator>

#include "core/io/json.h"
#include "core/io/safetensors.h"
#include "support/folder.h"
#include "support/program.h"
#include "support/testing.h"

using namespace lgms;
using namespace lgms::testing;

namespace {

const std::string kGolden = LGMS_TEST_DATA "/golden/net_2d.safetensors",
                  kGolden3d = LGMS_TEST_DATA "/golden/net_3d.safetensors";

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

Outcome bench(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "bench");
  arguments.insert(arguments.end(), {"-t", "1"});
  return run_program(LGMS_PROGRAM, arguments);
}

}  // namespace

TEST_CASE("bench: a golden file's network gives the file's logits, and times") {
  const Folder folder;
  for (const std::string& golden : {kGolden, kGolden3d}) {
    const std::string outputs = (folder / "outputs").string();
    const Outcome o = bench({golden, "--runs", "2", "--json", "--outputs", outputs});
    REQUIRE(o.code == 0);
    const io::Json report = io::parse_json(o.out).value;
    CHECK(report.find("what")->string() == "inference");
    CHECK(report.find("samples_ms")->size() == 2);
    CHECK(report.find("median_ms")->number() > 0);
    CHECK(report.find("min_ms")->number() <= report.find("max_ms")->number());
    CHECK(report.find("peak_mib")->number() > report.find("peak_tensors_mib")->number());
    const io::Safetensors made = io::read_safetensors(outputs), file = io::read_safetensors(golden);
    const Tensor* logits = nullptr;
    for (const char* name : {"eval.Conv_1x1", "logits", "eval.logits", "output"})
      if (logits == nullptr) logits = file.find(name);
    if (logits != nullptr && logits->shape() == made.find("logits")->shape())
      CHECK(max_difference(*made.find("logits"), *logits) < 1e-3 * (1 + max_magnitude(*logits)));
  }
}

TEST_CASE("bench: training steps, with and without checkpointing, have the same first loss") {
  const Folder folder;
  std::vector<double> losses;
  for (const bool checkpointing : {false, true})
    for (const std::string& golden : {kGolden, kGolden3d}) {
      const std::string outputs = (folder / "outputs").string();
      std::vector<std::string> arguments{golden, "--train", "--runs", "1", "--outputs", outputs};
      if (checkpointing) arguments.push_back("--checkpointing");
      const Outcome o = bench(arguments);
      REQUIRE(o.code == 0);
      CHECK(o.out.find(checkpointing ? "training step with checkpointing, [" : "training step, [") == 0);
      CHECK(o.out.find("median ") != std::string::npos);
      losses.push_back(*io::read_safetensors(outputs).find("loss")->to(DType::f64).data<double>());
    }
  CHECK(losses[0] == losses[2]);
  CHECK(losses[1] == losses[3]);
}

TEST_CASE("bench: fresh weights of a named network; a run for every line that is read") {
  Outcome o = bench({"--config", "2d", "--size", "32", "--batch", "2", "--runs", "1"});
  CHECK(o.code == 0);
  CHECK(o.out.find("inference, [2, 1, 32, 32, 3], -t 1, ") == 0);
  o = bench({"--config", "3d", "--size", "32", "--runs", "1", "--train"});
  CHECK(o.code == 0);
  o = run_program("/bin/sh",
                  {"-c", "printf '\\n\\n\\n' | \"$1\" bench --size 32 --interactive -t 1", "sh", LGMS_PROGRAM});
  CHECK(o.code == 0);
  CHECK(o.out.find("ready\n") == 0);
  const io::Json report = io::parse_json(o.out.substr(o.out.rfind("\n{") + 1)).value;
  CHECK(report.find("samples_ms")->size() == 3);
}

TEST_CASE("bench: a profile has every step's time beside its roof; a trace has every step and thread") {
  const Folder folder;
  const std::string trace = (folder / "trace.json").string();
  for (const std::string config : {"2d", "3d"}) {
    const Outcome o = run_program(LGMS_PROGRAM, {"bench", "--config", config, "--size", "32", "--runs", "3", "-t", "2",
                                                 "--profile", "--trace", trace, "--json"});
    REQUIRE(o.code == 0);
    const io::Json report = io::parse_json(o.out).value;
    CHECK(report.find("steps")->size() > 50);
    REQUIRE(report.find("steps")->size() == report.find("times")->size());
    for (const io::Json& t : report.find("times")->items()) {
      CHECK(t.find("ms")->number() > 0);
      CHECK(t.find("roof_ms")->number() > 0);
      CHECK(t.find("thread_gain")->number() > 0);
    }
    CHECK(report.find("flops")->number() > 0);
    const io::Json events = *io::parse_json(text_of(trace)).value.find("traceEvents");
    size_t steps = 0;
    bool second = false;
    for (const io::Json& e : events.items()) {
      if (e.find("ph")->string() != "X") continue;
      CHECK(e.find("dur")->number() >= 0);
      steps += e.find("tid")->integer() == 1;
      second = second || e.find("tid")->integer() == 3;
    }
    CHECK(steps == 3 * report.find("steps")->size());
    CHECK(second);
  }
  const Outcome o = bench({"--size", "32", "--runs", "1", "--profile"});
  CHECK(o.code == 0);
  CHECK(o.out.find("where the milliseconds above the roof go") != std::string::npos);
  CHECK(o.out.find("roofs, measured") != std::string::npos);
  CHECK(bench({"--size", "32", "--profile", "--train"}).code == 2);
  CHECK(bench({"--size", "32", "--trace", "/no/such/folder/x"}).code == 1);
}

TEST_CASE("bench: what makes no sense is refused") {
  CHECK(bench({"--config", "4d"}).code == 2);
  CHECK(bench({"--size", "33"}).code == 2);
  CHECK(bench({"--batch", "0"}).code == 2);
  CHECK(bench({LGMS_TEST_DATA "/nuclei.safetensors"}).code == 4);
  CHECK(bench({"no such file"}).code == 4);
  CHECK(bench({"--size", "32", "--runs", "1", "--outputs", "/no/such/folder/x"}).code == 1);
}
