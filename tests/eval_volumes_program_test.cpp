// lgmsnet eval of volumes from outside.
#include <nlohmann/json.hpp>

#include "core/formats/image.h"
#include "core/formats/nifti.h"
#include "core/io/bytes.h"
#include "core/io/output_file.h"
#include "lgmsnet/model_file.h"
#include "lgmsnet/training/lgmsnet.h"
#include "tests/support/folder.h"
#include "tests/support/program.h"
#include "tests/support/testing.h"

using namespace lgms;
using testing::Outcome;
namespace fs = std::filesystem;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Two cases of 6 x 8 x 10 voxels of 3 x 1 x 0.5 mm: b is predicted right, a one voxel too far along W, and without its
// label 2.
struct Bench : testing::Folder {
  const Size3 size{6, 8, 10};
  Affine affine{{{0.5, 0, 0, -7}, {0, 1, 0, 3}, {0, 0, 3, 1}}};

  Bench() {
    for (const std::string stem : {"a", "b"}) {
      write_labels("data/labelsTr/" + stem + ".nii.gz", labels(0, 2));
      io::ensure_directory(path() / "data/imagesTr");
      io::write_nifti(path() / "data/imagesTr" / (stem + ".nii.gz"), testing::randn({6, 8, 10, 1}, 3, DType::f32),
                      io::make_nifti_header(size, affine));
    }
    write_labels("predicted/a.nii.gz", labels(1, 0));
    write_labels("predicted/b.nii", labels(0, 2));
    io::write_file(path() / "data/val.txt", "a\nb\n");
  }

  // A box of label 1 that starts at W = 2 + shift, and one voxel of another label.
  Tensor labels(int64_t shift, uint8_t other) const {
    const Tensor x = Tensor::zeros({6, 8, 10, 1}, DType::u8);
    for (int64_t z = 1; z < 5; ++z)
      for (int64_t y = 2; y < 6; ++y)
        for (int64_t i = 2; i < 6; ++i) x.data<uint8_t>()[(z * 8 + y) * 10 + i + shift] = 1;
    x.data<uint8_t>()[0] = other;
    return x;
  }
  void write_labels(const fs::path& name, const Tensor& x, std::optional<Affine> at = {}) const {
    io::ensure_directory((path() / name).parent_path());
    const Shape& s = x.shape();
    io::write_nifti_labels(path() / name, x, io::make_nifti_header({s[0], s[1], s[2]}, at.value_or(affine)));
  }
  Outcome eval(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments{"eval", "--data", path() / "data", "-t", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return testing::run_program(LGMS_PROGRAM, arguments);
  }
  Outcome eval_files(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"--predictions", path() / "predicted"});
    return eval(more);
  }
};

}  // namespace

TEST_CASE("eval: label files against the truth, in mm of the files") {
  const Bench bench;
  const Outcome outcome = bench.eval_files({"--json", "--tolerance", "0.5", "--out", bench / "scores"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  const auto json = nlohmann::json::parse(outcome.out);
  const auto& a = json["cases"][0]["classes"]["label 1"];
  CHECK(json["cases"][0]["case"] == "a");
  CHECK(a["dice"].get<double>() == 0.75);
  CHECK(a["tp"] == 48);
  CHECK(a["hd95_max"].get<double>() == 0.5);
  CHECK(a["surface_dice"].get<double>() == 1);
  CHECK(json["cases"][0]["classes"]["label 2"]["surface_dice"].get<double>() == 0);
  CHECK(json["cases"][1]["foreground_dice"].get<double>() == 1);
  CHECK(json["classes"]["label 2"]["label_in"]["truth_alone"] == 1);
  CHECK(json["foreground_mean"]["dice"].get<double>() == (0.875 + 0.5) / 2);
  const io::Bytes summary = io::read_file(bench / "scores/summary.json");
  CHECK(std::string(summary.begin(), summary.end()) == outcome.out);
  const io::Bytes csv = io::read_file(bench / "scores/per_case.csv");
  CHECK(contains({csv.begin(), csv.end()}, "\nb,label 2,1,0,0,479,1,1,1,1,1,0,0\n"));

  CHECK(io::read_image(bench / "scores/worst/1_a.png", 3).shape() == Shape{482, 606, 3});  // five slices differ
  CHECK(fs::exists(bench / "scores/worst/2_b.png"));
  REQUIRE(bench.eval_files({"--out", bench / "one", "--worst", "1"}).code == 0);
  CHECK(fs::exists(bench / "one/worst/1_a.png"));
  CHECK(!fs::exists(bench / "one/worst/2_b.png"));
  REQUIRE(bench.eval_files({"--out", bench / "one", "--worst", "0"}).code == 0);
  CHECK(!fs::exists(bench / "one/worst/1_a.png"));  // not of this evaluation
  Tensor nearly = bench.labels(0, 2);
  nearly.data<uint8_t>()[3 * 80] = 1;
  bench.write_labels("predicted/b.nii", nearly);
  REQUIRE(bench.eval_files({"--out", bench / "nearly"}).code == 0);
  CHECK(io::read_image(bench / "nearly/worst/2_b.png", 3).shape() == Shape{240, 150, 3});  // one does

  const Outcome strict = bench.eval_files({"--tolerance", "0.4"});
  CHECK(contains(strict.out, "2 volumes, surface Dice at 0.4 mm, empty masks: exclude"));
  CHECK(contains(strict.out, "mean of foreground"));
  CHECK(!contains(strict.err, "\r"));
}

TEST_CASE("eval: names of the classes come from dataset.json; other labels are refused") {
  const Bench bench;
  io::write_file(bench / "data/dataset.json", R"({"labels": {"background": 0, "box": 1, "dot": 2, "never": 3}})");
  const Outcome exclude = bench.eval_files({"--json"}), zero = bench.eval_files({"--json", "--empty-policy", "zero"});
  const auto json = nlohmann::json::parse(exclude.out);
  CHECK(json["classes"]["never"]["dice"].is_null());
  CHECK(json["classes"]["never"]["label_in"]["neither"] == 2);
  CHECK(json["foreground_mean"]["dice"].get<double>() == (0.875 + 0.5) / 2);
  CHECK(nlohmann::json::parse(zero.out)["foreground_mean"]["dice"].get<double>() == doctest::Approx((0.875 + 0.5) / 3));
  bench.write_labels("predicted/a.nii.gz", bench.labels(0, 4));
  const Outcome other = bench.eval_files();
  CHECK(other.code == 3);
  CHECK(contains(other.err, "predicted/a.nii.gz] labels: expected integers from 0 to 3, got 4"));
}

TEST_CASE("eval: ignore is no class, and two classes have two names") {
  const Bench bench;
  for (const auto& [labels, part] : std::vector<std::pair<std::string, std::string>>{
           {R"({"background": 0, "box": 1, "ignore": 2})", "not annotated"},
           {R"({"0": "background", "1": "box", "2": "ignore"})", "not annotated"},
           {R"({"0": "background", "1": "x", "2": "x"})", "each name once"},
           {R"({"background": 0, "x": 1, "x": 2})", "x"},
           {R"({"0": "background", "1": "x", "2": ""})", "empty"},
           {R"({"0": "background", "1": "x", "2": "\u001b[31m"})", "control"}}) {
    const std::string json = "{\"labels\": " + labels + "}";
    CAPTURE(json);
    io::write_file(bench / "data/dataset.json", json);
    const Outcome outcome = bench.eval_files();
    CAPTURE(outcome.err);
    CHECK(outcome.code == 3);
    CHECK(contains(outcome.err, "dataset.json]"));
    CHECK(contains(outcome.err, part));
  }
}

TEST_CASE("eval: labels that are nearly integers are rounded, and what was done to a file is said once") {
  const Bench bench;
  Tensor nearly = bench.labels(1, 0).to(DType::f32);
  for (float& v : nearly.span<float>())
    if (v == 1) v = 0.99999994f;
  fs::remove(bench / "predicted/a.nii.gz");
  io::write_nifti(bench / "predicted/a.NII.GZ", nearly, io::make_nifti_header(bench.size, bench.affine));
  const Outcome outcome = bench.eval_files({"--json"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(nlohmann::json::parse(outcome.out)["cases"][0]["classes"]["label 1"]["dice"].get<double>() == 0.75);
  const std::string note = "a.NII.GZ] labels: 64 were rounded to integers, the first 0.99999994 at voxel i 3, j 2, k 1";
  CHECK(contains(outcome.err, note));
  CHECK(outcome.err.find(note) == outcome.err.rfind(note));

  bench.write_labels("predicted/a.nii", bench.labels(0, 0));
  const Outcome two = bench.eval_files();
  CHECK(two.code == 3);
  CHECK(contains(two.err, "predicted/a.NII.GZ] expected one volume called \"a\", got another, "));
  CHECK(contains(two.err, "predicted/a.nii;"));
}

TEST_CASE("eval: no output leaves its folder, whatever the list calls the cases") {
  const Bench bench;
  io::ensure_directory(bench / "far/predicted");
  io::ensure_directory(bench / "far/away");
  for (const char* kind : {"imagesTr", "labelsTr"})
    fs::copy_file(bench / "data" / kind / "a.nii.gz",
                  bench / "data" / (std::string(kind) == "imagesTr" ? "i.nii.gz" : "l.nii.gz"));
  fs::rename(bench / "predicted/a.nii.gz", bench / "far/x.nii.gz");
  fs::copy_file(bench / "data/imagesTr/a.nii.gz", bench / "data/x.nii.gz");
  fs::copy_file(bench / "data/labelsTr/a.nii.gz", bench / "data/imagesTr/../y.nii.gz");
  fs::remove(bench / "data/x.nii.gz");
  fs::copy_file(bench / "data/labelsTr/a.nii.gz", bench / "data/x.nii.gz");  // image and label of the stem ../x
  io::write_file(bench / "data/out.txt", "../x\n");
  const Outcome outcome =
      bench.eval({"--predictions", bench / "far/predicted", "--list", "out.txt", "--out", bench / "far/away/scores"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(fs::exists(bench / "far/away/scores/worst/1_.._x.png"));
}

TEST_CASE("eval: a prediction that is absent, of another size or elsewhere in space is an error") {
  const Bench bench;
  bench.write_labels("predicted/a.nii.gz", Tensor::zeros({6, 8, 9, 1}, DType::u8));
  const Outcome size = bench.eval_files({"--out", bench / "scores"});
  CHECK(size.code == 3);
  CHECK(contains(size.err, "predicted/a.nii.gz] size: expected 10 x 8 x 6"));
  Affine moved = bench.affine;
  moved[0][3] += 1;
  bench.write_labels("predicted/a.nii.gz", bench.labels(0, 0), moved);
  CHECK(contains(bench.eval_files().err, "predicted/a.nii.gz] position"));
  fs::remove(bench / "predicted/a.nii.gz");
  const Outcome absent = bench.eval_files();
  CHECK(absent.code == 3);
  CHECK(contains(absent.err, "predicted/a.nii.gz] no such file"));
  CHECK(!fs::exists(bench / "scores"));
}

TEST_CASE("eval: either a model or predictions") {
  const Bench bench;
  for (const Outcome& outcome : {bench.eval(), bench.eval_files({"-m", "x"})}) {
    CHECK(outcome.code == 2);
    CHECK(contains(outcome.err, "either --model or --predictions"));
  }
  CHECK(bench.eval_files({"--empty-policy", "two"}).code == 2);
  CHECK(bench.eval_files({"--tolerance", "-1"}).code == 2);
  const Outcome flat = bench.eval_files({"--threshold", "0.9"});
  CHECK(flat.code == 2);
  CHECK(contains(flat.err, "[eval] --threshold is for pictures"));
}

TEST_CASE("eval: a 3D model is scored at the volumes' own grid") {
  const Bench bench;
  ModelFile model;
  model.config.rank = 3;
  model.config.in_channels = 1;
  model.config.classes = 3;
  model.config.dims = {8, 8, 16, 16, 16};
  model.config.splits = {{{8, 8}, {8, 8}, {8, 8}, {8, 8}}};
  model.volume_recipe.patch = {32, 32, 32};
  model.classes = {"background", "box", "dot"};
  model.training = "{}";
  model.tensors = LGMSNet(model.config, 3).store().tensors();
  save_model(bench / "model.safetensors", model);
  const Outcome outcome = bench.eval({"-m", bench / "model.safetensors", "--json"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  const auto json = nlohmann::json::parse(outcome.out);
  CHECK(json["cases"].size() == 2);
  // The data's names for the model's classes: others are worth a note, another order or number is refused.
  const std::string data_names = bench / "data/dataset.json";
  const auto with_names = [&](const char* labels) {
    io::write_file(data_names, std::string_view(labels));
    return bench.eval({"-m", bench / "model.safetensors"});
  };
  const Outcome others = with_names(R"({"labels":{"background":0,"liver":1,"spleen":2}})");
  CHECK(others.code == 0);
  CHECK(contains(others.err, "liver"));
  CHECK(with_names(R"({"labels":{"background":0,"dot":1,"box":2}})").code == 3);
  CHECK(with_names(R"({"labels":{"background":0,"box":1}})").code == 3);
  CHECK(with_names(R"({"labels":{"background":0,"box":1,"dot":2}})").err.find("call") == std::string::npos);
  CHECK(bench.eval({"-m", bench / "model.safetensors", "--mask-threshold", "3"}).code == 2);
  const auto& box = json["cases"][0]["classes"]["box"];
  CHECK(box["tp"].get<int64_t>() + box["fp"].get<int64_t>() + box["fn"].get<int64_t>() + box["tn"].get<int64_t>() ==
        480);
}
