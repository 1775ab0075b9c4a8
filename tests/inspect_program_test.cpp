// The verbs that look and check, from outside: verify, summary, info, convert, gradcheck, devices.
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/io/output_file.h"
#include "core/io/safetensors.h"
#include "lgmsnet/model_file.h"
#include "lgmsnet/training/lgmsnet.h"
#include "tests/support/folder.h"
#include "tests/support/models.h"
#include "tests/support/program.h"
#include "tests/support/pth.h"
#include "tests/support/testing.h"

using namespace lgms;
using nlohmann::json;
using testing::Outcome;
using testing::untrained;
namespace fs = std::filesystem;

namespace {

const fs::path kGolden = fs::path(LGMS_TEST_DATA) / "golden";

Outcome run(const std::vector<std::string>& arguments) { return testing::run_program(LGMS_PROGRAM, arguments); }
bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("program: help lists every verb; nonsense is usage, exit 2") {
  const Outcome help = run({"--help"});
  CHECK(help.code == 0);
  for (const char* verb :
       {"train", "eval", "predict", "summary", "info", "convert", "verify", "gradcheck", "bench", "devices"}) {
    CHECK(contains(help.out, verb));
    CHECK(run({verb, "--help"}).code == 0);
    CHECK(run({verb, "--no-such-flag"}).code == 2);
  }
  CHECK(contains(run({"--version"}).out, "lgmsnet "));
  CHECK(run({}).code == 2);
  const Outcome verb = run({"segment"});
  CHECK(verb.code == 2);
  CHECK(contains(verb.err, "lgmsnet: expected train, "));
  CHECK(contains(verb.err, "got segment"));
  CHECK(run({"verify", (kGolden / "net_2d.safetensors").string(), "--dtype", "f16"}).code == 2);
}

TEST_CASE("program: a whole number is what was typed, not octal, and not below zero by wrapping") {
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{"devices", "-t", "010"},
                                             {"devices", "-t", "0x1"},
                                             {"devices", "-t", ""},
                                             {"gradcheck", "-t", "1.0"},
                                             {"bench", "--runs", "010"},
                                             {"bench", "--size", "100"},
                                             {"summary", "--size", "96", "096"},
                                             {"summary", "--size", "100"},
                                             {"train", "--data", "x", "--out", "y", "--seed", "-1"}}) {
    const Outcome outcome = run(wrong);
    CAPTURE(outcome.err);
    CHECK(outcome.code == 2);
    CHECK(contains(outcome.err, "lgmsnet: "));
    CHECK(
        contains(outcome.err, wrong[wrong.size() - 2].starts_with("-") ? wrong[wrong.size() - 2].substr(1) : "--size"));
    CHECK(contains(outcome.err, wrong.back()));
  }
  CHECK(run({"devices", "-t", "0"}).code == 0);
}

TEST_CASE("program: options that are numbers take finite ones") {
  for (const std::vector<const char*>& option : std::vector<std::vector<const char*>>{{"predict", "--threshold"},
                                                                                      {"predict", "--overlap"},
                                                                                      {"predict", "--min-volume"},
                                                                                      {"eval", "--threshold"},
                                                                                      {"eval", "--tolerance"},
                                                                                      {"gradcheck", "--tolerance"}})
    for (const char* number : {"nan", "-NAN", "nan(1)", "inf", "-infinity", "1e999", "", "1x"}) {
      const Outcome outcome = run({option[0], option[1], number});
      CAPTURE(outcome.err);
      CHECK(outcome.code == 2);
      CHECK(contains(outcome.err, option[1]));
      CHECK(contains(outcome.err, number));
    }
}

TEST_CASE("verify: a golden file passes, one changed weight ends with 6, absent groups are shown as absent") {
  const testing::Folder folder;
  const Outcome good = run({"verify", (kGolden / "net_3d.safetensors").string(), "--json", "-t", "2"});
  CAPTURE(good.err);
  REQUIRE(good.code == 0);
  const json report = json::parse(good.out);
  CHECK(report["passed"] == true);
  CHECK(report["tensors"].size() > 150);

  io::Safetensors golden = io::read_safetensors(kGolden / "net_2d.safetensors");
  std::erase_if(golden.tensors, [](const NamedTensor& t) { return contains(t.name, "train."); });
  io::write_safetensors(folder / "eval.safetensors", golden.tensors, golden.metadata);
  const Outcome part = run({"verify", (folder / "eval.safetensors").string(), "--dtype", "f32"});
  CHECK(part.code == 0);
  CHECK(contains(part.out, "absent"));

  for (NamedTensor& t : golden.tensors)
    if (t.name == "weights.Conv_1x1.weight") t.tensor.data<float>()[0] += 0.1f;
  io::write_safetensors(folder / "changed.safetensors", golden.tensors, golden.metadata);
  for (const char* dtype : {"f64", "f32"}) {
    const Outcome bad = run({"verify", (folder / "changed.safetensors").string(), "--dtype", dtype});
    CHECK(bad.code == 6);
    CHECK(contains(bad.out, "FAILED"));
    CHECK(contains(bad.err, "changed.safetensors"));
  }
}

TEST_CASE("verify: what is no golden file is a bad model, exit 4") {
  const testing::Folder folder;
  CHECK(run({"verify", (folder / "absent.safetensors").string()}).code == 4);
  save_model(folder / "model.safetensors", untrained());
  const Outcome model = run({"verify", (folder / "model.safetensors").string()});
  CHECK(model.code == 4);
  CHECK(contains(model.err, "expected a golden file"));
}

TEST_CASE("summary: the paper's parameters and operations; info: what the file says of itself") {
  const json flat = json::parse(run({"summary", "--json"}).out);
  CHECK(flat["parameters"] == 2321393);
  CHECK(flat["gflop"].get<double>() == doctest::Approx(9.405).epsilon(1e-4));
  CHECK(flat["gflop_with_attention"].get<double>() == doctest::Approx(10.04).epsilon(1e-3));
  CHECK(json::parse(run({"summary", "--config", "3d", "--json"}).out)["parameters"] == 6193742);
  CHECK(contains(run({"summary"}).out, "2321393"));
  CHECK(run({"summary", "--size", "100"}).code == 2);
  CHECK(run({"summary", "--config", "4d"}).code == 2);
  const json plan = json::parse(run({"summary", "--plan", "--json", "--size", "64"}).out);
  double flop = 0;
  for (const json& step : plan["steps"]) {
    flop += step["flop"].get<double>();
    CHECK(step["arena_offset"].get<int64_t>() + step["arena_bytes"].get<int64_t>() <=
          plan["arena_bytes"].get<int64_t>());
  }
  CHECK(flop * 1e-9 ==
        doctest::Approx(
            json::parse(run({"summary", "--json", "--size", "64"}).out)["gflop_with_attention"].get<double>()));
  CHECK(contains(run({"summary", "--plan", "--config", "3d", "--size", "32"}).out, "norm_tables"));

  const testing::Folder folder;
  save_model(folder / "model.safetensors", untrained());
  const Outcome info = run({"info", (folder / "model.safetensors").string(), "--json"});
  REQUIRE(info.code == 0);
  CHECK(json::parse(info.out)["tensors"] == 372);
  CHECK(json::parse(info.out)["classes"] == json{"nucleus"});
}

TEST_CASE("convert: a PyTorch checkpoint becomes the same weights with a recipe; other files are refused, exit 4") {
  const testing::Folder folder;
  const std::string out = (folder / "out.safetensors").string(), pth = (kGolden / "net_2d.pth").string();
  CHECK(run({"convert", pth, "-o", out}).code == 2);  // no recipe named
  const Outcome done = run({"convert", pth, "-o", out, "--recipe", "paper-2d", "--size", "64"});
  CAPTURE(done.err);
  REQUIRE(done.code == 0);
  const ModelFile model = load_model(out);
  CHECK(model.recipe.divide_again);
  CHECK(model.recipe.size[0] == 64);
  const io::Safetensors golden = io::read_safetensors(kGolden / "net_2d.safetensors");
  for (const NamedTensor& t : model.tensors) {
    CAPTURE(t.name);
    REQUIRE(golden.find("weights." + t.name) != nullptr);
    CHECK(testing::max_difference(t.tensor, *golden.find("weights." + t.name)) == 0);
  }
  std::filesystem::copy_file(pth, folder / "mine.pth");
  const Outcome itself = run({"convert", folder / "mine.pth", "-o", folder / "mine.pth", "--recipe", "paper-2d"});
  CHECK(itself.code == 2);
  CHECK(contains(itself.err, "is the checkpoint itself"));
  CHECK(io::read_file(folder / "mine.pth") == io::read_file(pth));
  const Outcome refused = run({"convert", out, "-o", (folder / "again.safetensors").string(), "--recipe", "paper-2d"});
  CHECK(refused.code == 4);
  CHECK_FALSE(fs::exists(folder / "again.safetensors"));
  for (const char* name : {"\xff", "ignore", "a\x1b[31m", ""}) {
    CAPTURE(name);
    const Outcome named =
        run({"convert", pth, "-o", (folder / "again.safetensors").string(), "--recipe", "paper-2d", "--classes", name});
    CHECK(named.code == 2);
    CHECK(contains(named.err, "--classes"));
    CHECK_FALSE(fs::exists(folder / "again.safetensors"));
  }
}

TEST_CASE("convert: a 3D checkpoint takes a 3D recipe, with the sides of its patch") {
  const testing::Folder folder;
  const io::Safetensors golden = io::read_safetensors(kGolden / "net_3d.safetensors");
  NamedTensors weights;
  for (const NamedTensor& t : golden.tensors)
    if (t.name.starts_with("weights.")) weights.push_back({t.name.substr(8), t.tensor});
  const std::string pth = (folder / "net_3d.pth").string(), out = (folder / "out.safetensors").string();
  io::write_file(pth, testing::pth_of(weights));
  CHECK(run({"convert", pth, "-o", out, "--recipe", "paper-2d"}).code == 2);
  CHECK(run({"convert", pth, "-o", out, "--recipe", "paper-3d", "--size", "4128"}).code == 2);
  CHECK(run({"convert", pth, "-o", out, "--recipe", "paper-3d", "--white", "255"}).code == 2);
  const Outcome done = run({"convert", pth, "-o", out, "--recipe", "paper-3d", "--size", "64", "32", "96"});
  CAPTURE(done.err);
  REQUIRE(done.code == 0);
  const ModelFile model = load_model(out);
  CHECK(model.volume_recipe.patch == Size3{64, 32, 96});
  CHECK(model.tensors.size() == weights.size());
  for (const NamedTensor& t : model.tensors)
    CHECK(testing::max_difference(t.tensor, *golden.find("weights." + t.name)) == 0);
}

TEST_CASE("models: not a number, a newer format, no recipe: exit 4, with the file and the remedy in the message") {
  const testing::Folder folder;
  const std::string picture = (fs::path(LGMS_TEST_DATA) / "nuclei" / "images").string();
  const auto predict = [&](const fs::path& model) {
    return run({"predict", "-m", model.string(), "-i", picture, "-o", (folder / "out").string()});
  };
  ModelFile model = untrained();
  save_model(folder / "good.safetensors", model);
  io::Safetensors raw = io::read_safetensors(folder / "good.safetensors");
  io::Metadata newer = raw.metadata, bare;
  newer["lgms.format"] = std::to_string(2);
  io::write_safetensors(folder / "newer.safetensors", raw.tensors, newer);
  io::write_safetensors(folder / "bare.safetensors", raw.tensors, bare);
  raw.tensors[0].tensor = Tensor::full(raw.tensors[0].tensor.shape(), NAN);
  io::write_safetensors(folder / "nan.safetensors", raw.tensors, raw.metadata);

  const Outcome a = predict(folder / "newer.safetensors"), b = predict(folder / "bare.safetensors"),
                c = predict(folder / "nan.safetensors");
  CHECK(a.code == 4);
  CHECK(contains(a.err, "newer lgmsnet"));
  CHECK(b.code == 4);
  CHECK(contains(b.err, "--recipe"));
  CHECK(c.code == 4);
  CHECK(contains(c.err, "expected finite numbers"));
  CHECK_FALSE(fs::exists(folder / "out"));
}

TEST_CASE("models: names of classes that cannot be told apart or written are refused, exit 4") {
  const testing::Folder folder;
  save_model(folder / "good.safetensors", untrained());
  const io::Safetensors raw = io::read_safetensors(folder / "good.safetensors");
  for (const char* names : {R"([""])", R"(["a\u001b[31m"])", R"(["a\u0000b"])"}) {
    io::Metadata metadata = raw.metadata;
    metadata.at("lgms.classes") = names;
    io::write_safetensors(folder / "named.safetensors", raw.tensors, metadata);
    const Outcome info = run({"info", (folder / "named.safetensors").string()});
    CHECK(info.code == 4);
    CHECK(contains(info.err, "lgms.classes"));
  }
}

TEST_CASE("models: weights without the counters of their norms, as old versions of PyTorch saved them, are read") {
  const testing::Folder folder;
  save_model(folder / "good.safetensors", untrained());
  const io::Safetensors raw = io::read_safetensors(folder / "good.safetensors");
  NamedTensors old;
  for (const NamedTensor& t : raw.tensors)
    if (!t.name.ends_with(".num_batches_tracked")) old.push_back(t);
  REQUIRE(old.size() < raw.tensors.size());
  io::write_safetensors(folder / "old.safetensors", old, raw.metadata);
  const ModelFile model = load_model(folder / "old.safetensors");
  LGMSNet net(model.config);
  net.store().load(model.tensors, "old");
  for (const NamedTensor& t : net.store().tensors()) {
    CAPTURE(t.name);
    CHECK(testing::max_difference(t.tensor, *raw.find(t.name)) == 0);
  }
}

TEST_CASE("gradcheck and devices: run, and say so in JSON") {
  const Outcome all = run({"gradcheck", "--json"});
  CHECK(all.code == 0);
  CHECK(json::parse(all.out).size() > 20);
  CHECK(run({"gradcheck", "--tolerance", "0"}).code == 6);
  CHECK(json::parse(run({"devices", "--json"}).out)["cpus"].get<int>() >= 1);
}

TEST_CASE("--provider: runs where it is built in, is a device error where not, and one that nobody knows is refused") {
  const json onednn = json::parse(run({"devices", "--json"}).out)["onednn"];
  const Outcome o = run({"bench", "--size", "32", "--runs", "1", "-t", "1", "--provider", "onednn"});
  CHECK(o.code == (onednn.is_string() ? 0 : 5));
  if (onednn.is_string()) {
    CHECK(onednn.get<std::string>()[0] == '3');
    CHECK(o.out.find("+onednn, ") != std::string::npos);
  } else {
    CHECK(o.err.find("[provider] onednn: not in this build; get it with tools/onednn.sh") != std::string::npos);
  }
  const Outcome unknown = run({"bench", "--provider", "mkl"});
  CHECK(unknown.code == 2);
  CHECK(unknown.err.find("mkl not in {own,onednn}") != std::string::npos);
}

TEST_CASE("--small: takes less memory for the same numbers, and is for inference alone") {
  const auto kept = [&](bool small) {
    std::vector<std::string> arguments{"summary", "--plan", "--json", "-t", "1"};
    if (small) arguments.emplace_back("--small");
    const Outcome o = run(arguments);
    REQUIRE(o.code == 0);
    return json::parse(o.out)["packed_bytes"].get<int64_t>();
  };
  CHECK(kept(true) < kept(false));
  CHECK(run({"bench", "--size", "32", "--runs", "1", "-t", "1", "--small"}).code == 0);
  CHECK(run({"bench", "--train", "--small"}).code == 2);
  CHECK(run({"summary", "--small"}).code == 2);
}

TEST_CASE("--precision: runs where the processor can, is a device error where not, and is for inference alone") {
  const json best = json::parse(run({"devices", "--json"}).out)["bf16"];
  for (const std::string name : {"bf16", "bf16-pairs", "bf16-tiles"}) {
    const Outcome o = run({"bench", "--size", "32", "--runs", "1", "-t", "1", "--precision", name});
    const bool can = best == "bf16-tiles" || (best == "bf16-pairs" && name != "bf16-tiles");
    CHECK(o.code == (can ? 0 : 5));
    if (can)
      CHECK(o.out.find("avx512+" + (name == "bf16" ? best.get<std::string>() : name) + ", ") != std::string::npos);
    else
      CHECK(o.err.find("[precision] " + name + ": it needs AVX-512 with AVX512-BF16") != std::string::npos);
  }
  CHECK(run({"bench", "--size", "32", "--runs", "1", "--precision", "f32"}).code == 0);
  CHECK(run({"bench", "--precision", "f16"}).code == 2);
  const Outcome train = run({"bench", "--train", "--precision", "f32"});
  CHECK(train.code == 2);
  CHECK(train.err.find("--precision is for inference") != std::string::npos);
  if (best.is_string()) {
    const Outcome avx2 =
        testing::run_program("/usr/bin/env", {"LGMS_ISA=avx2", LGMS_PROGRAM, "bench", "--precision", "bf16"});
    CHECK(avx2.code == 2);
    CHECK(avx2.err.find("[precision] " + best.get<std::string>() + ": expected instruction set avx512") !=
          std::string::npos);
  }
}

TEST_CASE("program: results that cannot be written are an error, exit 1") {
  CHECK(testing::run_program("/bin/sh", {"-c", text(LGMS_PROGRAM, " summary --json > /dev/full")}).code == 1);
}
