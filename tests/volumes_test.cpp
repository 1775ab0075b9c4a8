#include "nn/data/volumes.h"

#include <limits>

#include "core/context.h"
#include "core/formats/datalist.h"
#include "core/io/output_file.h"
#include "lgmsnet/volume_recipe.h"
#include "tests/support/folder.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::nn;
namespace fs = std::filesystem;

namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

template <class F>
std::string error_of(const F& run) {
  try {
    run();
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::data);
    return e.what();
  }
  return "nothing was thrown";
}

io::Datalist parse(const std::string& json, const char* section = "training") {
  return io::parse_datalist({reinterpret_cast<const uint8_t*>(json.data()), json.size()}, "list.json", section);
}

void write_volume(const fs::path& path, const Size3& size = {4, 5, 6}, double shift = 0) {
  io::ensure_directory(path.parent_path());
  Affine affine = kIdentityAffine;
  affine[0][3] = shift;
  io::write_nifti(path, Tensor::zeros({size[0], size[1], size[2], 1}), io::make_nifti_header(size, affine));
}

}  // namespace

TEST_CASE("datalist: the Decathlon's, MONAI's and nnU-Net's forms") {
  const io::Datalist decathlon = parse(
      R"({"labels": {"0": "background", "1": "Anterior", "2": "Posterior"}, "numTraining": 2,
          "training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"},
                       {"image": ["b.nii.gz"], "label": "b_label.nii.gz"}], "test": ["./imagesTs/c.nii.gz"]})");
  CHECK(decathlon.names == std::vector<std::string>{"background", "Anterior", "Posterior"});
  REQUIRE(decathlon.pairs.size() == 2);
  CHECK(decathlon.pairs[0].image == "./imagesTr/a.nii.gz");
  CHECK(decathlon.pairs[1].image == "b.nii.gz");
  CHECK(decathlon.pairs[1].label == "b_label.nii.gz");
  CHECK(parse(R"({"labels": {"tumour": 1, "background": 0}})").names ==
        std::vector<std::string>{"background", "tumour"});
  CHECK(parse(R"({"training": []})", "validation").pairs.empty());
}

TEST_CASE("datalist: anything else is an error that names file and key") {
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');  // to be refused, not walked
  for (const auto& [list, part] : std::vector<std::pair<std::string, std::string>>{
           {"", "not JSON"},
           {"[1, 2]", "[1,2]"},
           {R"({"training": 5})", "training"},
           {R"({"training": [{"image": "a"}]})", "label"},
           {R"({"training": [{"image": ["a", "b"], "label": "c"}]})", "one channel"},
           {R"({"training": [{"image": "", "label": "c"}]})", "image"},
           {R"({"training": ["a"]})", "training 0"},
           {R"({"labels": {"background": 0, "whole": [1, 2]}})", "whole"},
           {R"({"labels": {"background": 0, "x": 2}})", "0 to 1"},
           {R"({"labels": {"a": 0, "b": 0}})", "each once"},
           {R"({"labels": {"zero": "background"}})", "zero"},
           {R"({"labels": {"a": -1}})", "-1"},
           {R"({"labels": {"0": "background", "1junk": "organ"}})", "1junk"},
           {R"({"labels": {}})", "labels"},
           {R"({"labels": {"background": 0, "ignore": 1}})", "not annotated"},
           {R"({"labels": {"0": "background", "1": "ignore"}})", "not annotated"},
           {R"({"labels": {"0": "x", "1": "x"}})", "each name once"},
           {R"({"labels": {"0": "x", "1": ""}})", "empty"},
           {R"({"labels": {"0": "x", "1": "\n"}})", "control"},
           {R"({"training": )" + deep + "}", "64 levels"},
           {R"({"training": [{"image": "a", "label": )" + deep + "}]}", "64 levels"}}) {
    const std::string& json = list;  // clang 14 captures no structured binding
    CAPTURE(json);
    const std::string error = error_of([&] { parse(json); });
    CAPTURE(error);
    CHECK(contains(error, "[list.json]"));
    CHECK(contains(error, part));
  }
}

TEST_CASE("volumes: nnU-Net's folders, with and without channel numbers; pairs; datalists") {
  const testing::Folder folder;
  write_volume(folder / "imagesTr/a.nii.gz");
  write_volume(folder / "labelsTr/a.nii.gz");
  write_volume(folder / "imagesTr/b_0000.nii");
  write_volume(folder / "labelsTr/b.nii");
  io::write_file(folder / "dataset.json", R"({"labels": {"background": 0, "spot": 1}})");
  io::write_file(folder / "train.txt", "a\n b \n");
  io::write_file(folder / "pairs.csv", "imagesTr/a.nii.gz, labelsTr/a.nii.gz\nimagesTr/b_0000.nii\tlabelsTr/b.nii\n");
  io::write_file(folder / "list.json",
                 R"({"validation": [{"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}]})");

  const VolumeList stems = read_volume_list(folder.path(), "train.txt", "training");
  CHECK(stems.stems() == std::vector<std::string>{"a", "b"});
  CHECK(stems.classes == std::vector<std::string>{"background", "spot"});
  CHECK(stems.cases[1].image == folder / "imagesTr/b_0000.nii");
  CHECK(stems.cases[1].label == folder / "labelsTr/b.nii");
  const VolumeList pairs = read_volume_list(folder.path(), "pairs.csv", "training");
  CHECK(pairs.stems() == std::vector<std::string>{"a", "b_0000"});
  CHECK(pairs.cases[1].label == folder / "labelsTr/b.nii");
  const VolumeList listed = read_volume_list(folder.path(), "list.json", "validation");
  CHECK(listed.stems() == std::vector<std::string>{"a"});
  CHECK(contains(error_of([&] { read_volume_list(folder.path(), "list.json", "training"); }), "\"training\""));

  io::write_file(folder / "absent.txt", "a\nc\n");
  CHECK(contains(error_of([&] { read_volume_list(folder.path(), "absent.txt", "training"); }), "imagesTr/c"));
  write_volume(folder / "imagesTr/c.nii.gz");
  CHECK(contains(error_of([&] { read_volume_list(folder.path(), "absent.txt", "training"); }), "labelsTr/c"));
  io::write_file(folder / "twice.csv", "imagesTr/a.nii.gz,labelsTr/a.nii.gz\n./imagesTr/a.nii.gz,labelsTr/a.nii.gz\n");
  CHECK(contains(error_of([&] { read_volume_list(folder.path(), "twice.csv", "training"); }), "again"));
  for (const char* name : {"case_1/imaging.nii.gz", "case_1/segmentation.nii.gz", "case_2/imaging.nii.gz"})
    write_volume(folder / name);
  io::write_file(folder / "kits.csv",
                 "case_1/imaging.nii.gz,case_1/segmentation.nii.gz\n./case_2/imaging.nii.gz,imagesTr/a.nii.gz\n");
  CHECK(read_volume_list(folder.path(), "kits.csv", "training").stems() ==
        std::vector<std::string>{"case_1_imaging", "case_2_imaging"});
  write_volume(folder / "imagesTr/b_0001.nii");
  CHECK(contains(error_of([&] { read_volume_list(folder.path(), "train.txt", "training"); }), "one channel"));
}

TEST_CASE("volumes: a stem may hold anything that a file name may; other lines are cut where both files are") {
  const testing::Folder folder;
  const auto write_case = [&](const std::string& stem, const char* ending = ".nii.gz") {
    write_volume(folder / "imagesTr" / (stem + ending));
    write_volume(folder / "labelsTr" / (stem + ending));
  };
  const auto line = [&](const std::string& text, const std::string& mark = "") {
    io::write_file(folder / "list.txt", mark + text + "\r\n");
    const VolumeList list = read_volume_list(folder.path(), "list.txt", "training");
    REQUIRE(list.cases.size() == 1);
    return list.cases[0];
  };
  const auto refused = [&](const std::string& text) { return error_of([&] { line(text); }); };
  for (const char* stem : {"doe, j", "doe,j", "say \"a\"", "\"quoted\"", "tab\there", "  blanks  ", "\xff\xc3", "a;b|c",
                           ",", "*?[]", "caf\u00e9", "a.nii", "-x", "#1"}) {
    CAPTURE(stem);
    write_case(stem);
    const VolumeCase c = line(stem);
    CHECK(c.stem == stem);
    CHECK(c.image == folder / "imagesTr" / (std::string(stem) + ".nii.gz"));
    CHECK(c.label == folder / "labelsTr" / (std::string(stem) + ".nii.gz"));
  }
  write_case("B", ".NII.GZ");
  CHECK(line("B").label == folder / "labelsTr/B.NII.GZ");
  CHECK(line(" B ").stem == "B");
  CHECK(line("\"B\"").stem == "B");
  write_volume(folder / "imagesTr/B.nii");
  CHECK(contains(refused("B"), "imagesTr/B.NII.GZ] expected one volume called \"B\", got another, "));

  for (const char* name : {"i,1.nii", "l,1.nii", "i 2.nii", "l\"2\".nii", "i.nii", "l.nii", "1.nii,l.nii"})
    write_volume(folder / name);
  const auto is_pair = [&](const std::string& text, const std::string& image, const std::string& label) {
    CAPTURE(text);
    const VolumeCase c = line(text);
    CHECK(c.image == folder / image);
    CHECK(c.label == folder / label);
    CHECK(c.stem == io::nifti_stem(image));
  };
  is_pair("i.nii,l.nii", "i.nii", "l.nii");
  is_pair(" i.nii , l.nii ", "i.nii", "l.nii");
  is_pair("i.nii\tl.nii", "i.nii", "l.nii");
  is_pair("i,1.nii,l,1.nii", "i,1.nii", "l,1.nii");
  is_pair("i,1.nii\tl.nii", "i,1.nii", "l.nii");
  is_pair("\"i,1.nii\",\"l,1.nii\"", "i,1.nii", "l,1.nii");
  is_pair("\"i 2.nii\", \"l\"\"2\"\".nii\"", "i 2.nii", "l\"2\".nii");
  is_pair("i 2.nii,l\"2\".nii", "i 2.nii", "l\"2\".nii");
  is_pair("\"i.nii\" , l.nii", "i.nii", "l.nii");
  write_volume(folder / "i");
  CHECK(contains(refused("i,1.nii,l.nii"), "list.txt] line 1: expected one way to cut it into image and label"));
  is_pair("i,\"1.nii,l.nii\"", "i", "1.nii,l.nii");
  CHECK(contains(refused("i.nii,none.nii"), "line 1: no such file: " + (folder / "none.nii").string()));
  CHECK(contains(refused("\"none,1.nii\",l.nii"), "no such file: " + (folder / "none,1.nii").string()));
  CHECK(contains(refused("a,b,c"), "no such file: " + (folder / "imagesTr/a,b,c").string()));
  CHECK(contains(refused("\"a"), "no such file"));
  CHECK(contains(refused(std::string(100000, ',')), "no such file"));
}

TEST_CASE("volumes: lists and datalists in UTF-16 and with marks; paths with a NUL") {
  const testing::Folder folder;
  write_volume(folder / "imagesTr/a.nii.gz");
  write_volume(folder / "labelsTr/a.nii.gz");
  const std::string json = R"({"labels": {"background": 0, "\u00e9": 1},
      "training": [{"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}]})";
  for (const bool big_endian : {false, true}) {
    const auto utf16 = [&](const std::string& ascii) {
      std::string bytes = big_endian ? "\xfe\xff" : "\xff\xfe";
      for (const char c : ascii) bytes += big_endian ? std::string{'\0', c} : std::string{c, '\0'};
      return bytes;
    };
    io::write_file(folder / "list.txt", utf16("a\r\n"));
    CHECK(read_volume_list(folder.path(), "list.txt", "training").stems() == std::vector<std::string>{"a"});
    io::write_file(folder / "list.json", utf16(json));
    const VolumeList list = read_volume_list(folder.path(), "list.json", "training");
    CHECK(list.stems() == std::vector<std::string>{"a"});
    CHECK(list.classes == std::vector<std::string>{"background", "\u00e9"});
  }
  io::write_file(folder / "list.json", "\xEF\xBB\xBF" + json);
  CHECK(read_volume_list(folder.path(), "list.json", "training").cases.size() == 1);
  io::write_file(folder / "list.json",
                 R"({"training": [{"image": "imagesTr/a.nii.gz\u0000.nii", "label": "labelsTr/a.nii.gz"}]})");
  CHECK(contains(error_of([&] { read_volume_list(folder.path(), "list.json", "training"); }), "without NUL"));
}

TEST_CASE("volumes: labels within a thousandth of an integer are rounded, with a note") {
  std::vector<std::string> notes;
  Context context({.log = [&notes](std::string_view line) { notes.emplace_back(line); }});
  const Context::Scope scope(context);
  io::Volume volume{io::make_nifti_header({2, 2, 3}, kIdentityAffine), Tensor::zeros({2, 2, 3, 1})};
  float* v = volume.voxels.data<float>();
  v[1] = 0.99999994f;
  v[7] = 1.00002f;
  v[8] = -0.0009f;
  v[9] = 2.0009f;
  const Tensor labels = labels_of(volume, "l.nii", 3);
  CHECK(std::vector<uint8_t>(labels.data<uint8_t>(), labels.data<uint8_t>() + 12) ==
        std::vector<uint8_t>{0, 1, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0});
  CHECK(notes == std::vector<std::string>{
                     "[l.nii] labels: 4 were rounded to integers, the first 0.99999994 at voxel i 1, j 0, k 0"});
  v[9] = 2.9999f;
  CHECK(contains(error_of([&] { labels_of(volume, "l.nii", 3); }), "expected integers from 0 to 2, got 2.9999 at"));
  v[9] = 1.0011f;
  CHECK(contains(error_of([&] { labels_of(volume, "l.nii", 3); }), "got 1.0011 at"));
  v[9] = 254.99f;
  CHECK(contains(error_of([&] { labels_of(volume, "l.nii"); }), "got 254.99 at"));
}

TEST_CASE("volumes: labels are integers of the classes, on the image's grid") {
  io::Volume volume{io::make_nifti_header({2, 2, 3}, kIdentityAffine), Tensor::zeros({2, 2, 3, 1})};
  volume.voxels.data<float>()[7] = 2;
  CHECK(labels_of(volume, "l.nii", 3).data<uint8_t>()[7] == 2);
  CHECK(contains(error_of([&] { labels_of(volume, "l.nii", 2); }), "voxel i 1, j 0, k 1"));
  for (float bad : {0.5f, -1.0f, 256.0f, std::numeric_limits<float>::quiet_NaN()}) {
    volume.voxels.data<float>()[7] = bad;
    CHECK(contains(error_of([&] { labels_of(volume, "l.nii"); }), "[l.nii]"));
  }
  const auto header = [](const Size3& size, double shift) {
    Affine affine = kIdentityAffine;
    affine[1][3] = shift;
    return io::make_nifti_header(size, affine);
  };
  CHECK_NOTHROW(check_same_grid(header({2, 3, 4}, 0), "i", header({2, 3, 4}, 1e-4), "l"));
  CHECK(contains(error_of([&] {
                   check_same_grid(header({2, 3, 4}, 0), "i", header({2, 3, 5}, 0), "l");
                 }),
                 "5 x 3 x 2"));
  CHECK(contains(error_of([&] { check_same_grid(header({2, 3, 4}, 0), "i", header({2, 3, 4}, 1), "l"); }), "1 mm"));
}

TEST_CASE("volume recipe: names, JSON there and back, errors") {
  for (const char* name : {"default-3d", "paper-3d"}) {
    const VolumeRecipe recipe = VolumeRecipe::named(name);
    CHECK(VolumeRecipe::from_json(recipe.to_json(), "m") == recipe);
  }
  CHECK_THROWS(VolumeRecipe::named("default-2d"));
  const std::string json = VolumeRecipe::named("paper-3d").to_json();
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string copy = json;
    copy.replace(copy.find(from), from.size(), to);
    return copy;
  };
  CHECK_THROWS(VolumeRecipe::from_json(changed("[96,96,96]", "[96,96,90]"), "m"));
  CHECK_THROWS(VolumeRecipe::from_json(changed("[1.5,1.5,2.0]", "[1.5,0,2.0]"), "m"));
  CHECK_THROWS(VolumeRecipe::from_json(changed("250.0", "-250.0"), "m"));
  CHECK_THROWS(VolumeRecipe::from_json(changed("\"ras\"", "\"las\""), "m"));
}

TEST_CASE("volume recipe: z-score; window, foreground box and the way back for labels") {
  Tensor voxels = Tensor::empty({4, 4, 6, 1});
  for (int64_t i = 0; i < voxels.numel(); ++i) voxels.data<float>()[i] = static_cast<float>(i * 1000 + 7);
  const VolumeInput z = make_volume_input(VolumeRecipe{}, voxels, kIdentityAffine);
  double sum = 0, squares = 0;
  for (float v : z.image.span<float>()) {
    sum += static_cast<double>(v);
    squares += static_cast<double>(v) * static_cast<double>(v);
  }
  CHECK(std::abs(sum) < 1e-4);
  CHECK(squares / 96 == doctest::Approx(1));
  CHECK(make_volume_input(VolumeRecipe{}, Tensor::full({2, 2, 2, 1}, 5), kIdentityAffine).image.data<float>()[3] == 0);

  VolumeRecipe recipe = VolumeRecipe::named("paper-3d");
  recipe.spacing = {};
  voxels.fill(-1000);
  voxels.data<float>()[(1 * 4 + 2) * 6 + 3] = 37.5;                              // k 1, j 2, i 3
  voxels.data<float>()[(2 * 4 + 2) * 6 + 5] = 5000;                              // k 2, j 2, i 5
  const VolumeInput input = make_volume_input(recipe, voxels, kIdentityAffine);  // RAS already: (D, H, W) = (i, j, k)
  CHECK(input.grid.origin == Size3{3, 2, 1});
  CHECK(input.grid.size == Size3{3, 1, 2});
  CHECK(input.image.data<float>()[0] == 0.5f);
  CHECK(input.image.data<float>()[5] == 1);
  Tensor labels = Tensor::zeros({4, 4, 6, 1}, DType::u8);
  labels.data<uint8_t>()[(2 * 4 + 2) * 6 + 5] = 9;
  CHECK(make_volume_labels(input.grid, labels).data<uint8_t>()[5] == 9);
  CHECK_THROWS(make_volume_labels(input.grid, Tensor::zeros({4, 4, 5, 1}, DType::u8)));
  CHECK(pad_to_patch(recipe, input.image).shape() == Shape{96, 96, 96, 1});
}
