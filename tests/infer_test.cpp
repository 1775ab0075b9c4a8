// Inference on its own: this program is linked to lgms_infer and nothing that stands right of it.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "core/context.h"
#include "core/error.h"
#include "core/io/safetensors.h"
#include "core/transform/layout.h"
#include "lgmsnet/inference.h"
#include "lgmsnet/predictor.h"

using namespace lgms;

TEST_CASE("infer: a golden file's weights give its logits, 2D and 3D") {
  for (const char* name : {"net_2d", "net_3d"}) {
    const std::string path = std::string(LGMS_TEST_DATA "/golden/") + name + ".safetensors";
    const io::Safetensors golden = io::read_safetensors(path);
    NamedTensors weights;
    for (const NamedTensor& t : golden.tensors)
      if (t.name.starts_with("weights.")) weights.push_back({t.name.substr(8), t.tensor});
    const Inference network(Config::from_json(golden.metadata.at("config"), path), weights, path);
    const Tensor x = transform::to_channels_last(golden.find("input")->to(DType::f32));
    const Tensor logits = transform::to_channels_first(network.forward(x), network.config().rank).to(DType::f64);
    const Tensor want = golden.find("eval.logits")->to(DType::f64);
    REQUIRE(logits.shape() == want.shape());
    double worst = 0, largest = 0;
    for (size_t i = 0; i < want.span<double>().size(); ++i) {
      worst = std::max(worst, std::abs(logits.span<double>()[i] - want.span<double>()[i]));
      largest = std::max(largest, std::abs(want.span<double>()[i]));
    }
    CHECK(worst < 1e-4 * largest);
  }
}

namespace {

// A dark field with a bright disc.
Tensor disc() {
  const Tensor picture = Tensor::zeros({70, 90, 3}, DType::u8);
  for (int64_t i = 0; i < 70 * 90; ++i)
    if (std::hypot(static_cast<double>(i / 90) - 30, static_cast<double>(i % 90) - 40) < 12)
      for (int64_t c = 0; c < 3; ++c) picture.data<uint8_t>()[3 * i + c] = 170;
  return picture;
}

template <class F>
std::string error_of(const F& f, ErrorKind kind) {
  try {
    f();
  } catch (const Error& e) {
    CHECK(e.kind() == kind);
    return e.message();
  }
  return "nothing was thrown";
}

}  // namespace

TEST_CASE("infer: a model from a path, from bytes and from a callback predicts the same bits") {
  const std::string path = LGMS_TEST_DATA "/nuclei.safetensors";
  const io::Bytes bytes = io::read_file(path);
  uint64_t expected = 0;
  const io::ByteSource source{"archive:nuclei", bytes.size(), [&](uint64_t offset, std::span<uint8_t> into) {
                                CHECK(offset == expected);
                                expected += into.size();
                                REQUIRE(offset + into.size() <= bytes.size());
                                std::copy_n(bytes.begin() + static_cast<int64_t>(offset), into.size(), into.begin());
                                return into.size();
                              }};
  const ModelFile models[]{load_model(path), load_model(bytes, "memory"), load_model(source)};
  CHECK(expected == bytes.size());
  std::vector<Tensor> probabilities;
  for (const ModelFile& model : models) {
    CHECK(model.recipe == models[0].recipe);
    probabilities.push_back(Predictor(model, "nuclei").predict(disc()).probabilities);
    CHECK(std::equal(probabilities.back().span<float>().begin(), probabilities.back().span<float>().end(),
                     probabilities[0].span<float>().begin()));
  }
}

TEST_CASE("infer: bytes that are damaged and callbacks that fail are errors with the source's name") {
  io::Bytes bytes = io::read_file(LGMS_TEST_DATA "/nuclei.safetensors");
  const auto from = [&](uint64_t size, std::function<size_t(uint64_t, std::span<uint8_t>)> read) {
    return error_of([&] { load_model(io::ByteSource{"blob", size, std::move(read)}); }, ErrorKind::model);
  };
  CHECK(from(0, {}) == "[blob] expected a file with contents, got an empty one");
  CHECK(from(uint64_t{1} << 40, {}) == "[blob] expected at most 4294967296 bytes, got 1099511627776");
  CHECK(from(100, [](uint64_t, std::span<uint8_t>) { return size_t{7}; }) ==
        "[blob] expected 100 bytes at byte 0 of 100, got 7");
  CHECK(from(3 << 20, [](uint64_t offset, std::span<uint8_t> into) {
          if (offset > 0) throw std::runtime_error("the line went dead");
          return into.size();
        }) == "[blob] cannot be read at byte 1048576: the line went dead");
  CHECK(from(50, [](uint64_t, std::span<uint8_t>) -> size_t { throw 42; }) ==
        "[blob] cannot be read at byte 0: its source threw");
  CHECK(from(50, [](uint64_t, std::span<uint8_t>) -> size_t { fail(ErrorKind::model, "an error of ours"); }) ==
        "an error of ours");
  CHECK(from(bytes.size() - 1, [&](uint64_t offset, std::span<uint8_t> into) {
          std::copy_n(bytes.begin() + static_cast<int64_t>(offset), into.size(), into.begin());
          return into.size();
        }).starts_with("[blob] tensor \""));
  CHECK(error_of([&] { load_model(std::span(bytes).first(5), "cut"); }, ErrorKind::model)
            .starts_with("[cut] header length: expected 8 bytes"));
  bytes[8] ^= 1;  // the header's brace
  CHECK(error_of([&] { load_model(bytes, "flipped"); }, ErrorKind::model).starts_with("[flipped] header: expected a"));
}

TEST_CASE("infer: the model that ships turns a picture into a mask") {
  const ModelFile model = load_model(LGMS_TEST_DATA "/nuclei.safetensors");
  const Predictor predictor(model, "nuclei");
  PredictOptions options;
  options.statistics = true;
  const Prediction prediction = predictor.predict(disc(), options);
  const Tensor& mask = prediction.labels;
  CHECK(mask.shape() == Shape{70, 90, 1});
  CHECK(mask.data<uint8_t>()[30 * 90 + 40] == 255);
  CHECK(mask.data<uint8_t>()[5 * 90 + 85] == 0);
  REQUIRE(prediction.statistics.size() == 1);
  const LabelStatistics& found = prediction.statistics[0];
  CHECK(found.voxels == std::count(mask.span<uint8_t>().begin(), mask.span<uint8_t>().end(), 255));
  CHECK(std::abs(found.centroid[0] - 40) < 2);
  CHECK(std::abs(found.centroid[1] - 30) < 2);
  CHECK(!found.touches_border);
}

TEST_CASE("infer: a picture takes what was said before, to the byte") {
  ModelFile model = load_model(LGMS_TEST_DATA "/nuclei.safetensors");
  for (const bool paper : {false, true})
    for (const int64_t h : {70, 250, 1500})
      for (const bool native : {false, true})
        for (const DType dtype : {DType::u8, DType::f32}) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
          if (h > 70) continue;  // they find nothing more in the larger ones, for minutes
#endif
          if (h > 300 && native) continue;  // a network at that size takes long, and makes no difference
          CAPTURE(paper);
          CAPTURE(h);
          CAPTURE(native);
          CAPTURE(dtype);
          if (paper) model.recipe = Recipe::named("paper-2d");
          const Predictor predictor(model, "nuclei");
          PredictOptions options;
          options.native_size = native;
          Context context({.threads = 2});
          const Context::Scope scope(context);
          const Tensor picture = Tensor::full({h, h + h / 4, 3}, 100, dtype);
          const int64_t before = context.allocator()->in_use();
          predictor.predict(picture, options);  // packs the weights
          context.allocator()->reset_peak();
          predictor.predict(picture, options);
          CHECK(predictor.picture_bytes(picture.shape(), dtype, options) == context.allocator()->peak() - before);
        }
}

TEST_CASE("infer: a volume becomes labels, says before what it takes, tells how far it is, and stops when told to") {
  const ModelFile model = load_model(LGMS_TEST_DATA "/released/0.1.0_3d.safetensors");
  const Predictor predictor(model, "released");
  REQUIRE(predictor.volumes());
  Context context({.threads = 2, .lean = true});
  const Context::Scope scope(context);
  PredictOptions options;
  options.affine[0][0] = options.affine[1][1] = options.affine[2][2] = 1;
  options.keep_largest = true;
  const Tensor volume = Tensor::zeros({40, 36, 50, 1});
  for (int64_t i = 0; i < volume.numel(); ++i) volume.data<float>()[i] = static_cast<float>(i % 50);
  int64_t runs = 0;
  options.progress = [&](int64_t done, int64_t all) { runs = done == all ? all : runs; };
  const VolumeCost cost = predictor.cost({40, 36, 50}, options, false, 0);
  const Prediction prediction = predictor.predict(volume, options);
  CHECK(prediction.labels.shape() == Shape{40, 36, 50, 1});
  CHECK(runs == cost.runs);
  CHECK(context.allocator()->peak() < cost.peak_bytes());
  context.stop().request();
  bool stopped = false;
  try {
    predictor.predict(volume, options);
  } catch (const Error& e) { stopped = e.kind() == ErrorKind::interrupted; }
  CHECK(stopped);
}

TEST_CASE("infer: a least volume beyond every component leaves none; without a usable affine nothing is measured") {
  ModelFile model = load_model(LGMS_TEST_DATA "/released/0.1.0_3d.safetensors");
  model.volume_recipe.patch = {32, 32, 32};
  const Predictor predictor(model, "released");
  const Tensor volume = Tensor::zeros({33, 32, 32, 1});
  for (int64_t i = 0; i < volume.numel(); ++i) volume.data<float>()[i] = static_cast<float>(i % 50);
  PredictOptions options;
  options.affine = kIdentityAffine;
  options.statistics = true;
  for (const double ml : {1e-300, 1e300}) {
    options.min_millilitres = ml;
    int64_t voxels = 0;
    for (const LabelStatistics& of : predictor.predict(volume, options).statistics) voxels += of.voxels;
    CHECK((voxels > 0) == (ml < 1));
  }
  for (const double ml : {-1., std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    options.min_millilitres = ml;
    CHECK(error_of([&] { predictor.predict(volume, options); }, ErrorKind::usage)
              .starts_with("[predict] min_millilitres: expected a finite number from 0"));
  }
  options.min_millilitres = 1;
  options.affine = {};
  CHECK(error_of([&] { predictor.predict(volume, options); }, ErrorKind::usage) ==
        "[recipe] affine: expected three independent axes");
}

TEST_CASE("infer: volumes beyond counting are refused before anything is counted") {
  const Predictor predictor(load_model(LGMS_TEST_DATA "/released/0.1.0_3d.safetensors"), "released");
  PredictOptions options;
  options.affine = kIdentityAffine;
  for (const Size3& size : {Size3{int64_t{1} << 22, int64_t{1} << 22, int64_t{1} << 22}, Size3{int64_t{1} << 48, 1, 1},
                            Size3{0, 4, 4}, Size3{-1, 4, 4}}) {
    CHECK(error_of([&] { predictor.cost(size, options, false, 0); }, ErrorKind::usage).starts_with("[volume] size: "));
    CHECK(error_of([&] { predictor.fitting_patch(size, options, false, 0, 1); }, ErrorKind::usage)
              .starts_with("[volume] size: "));
  }
  CHECK(predictor.cost({4096, 4096, 4096}, options, false, 0).peak_bytes() > int64_t{4} << 36);
}

TEST_CASE("infer: a volume's whole probabilities are those of the slabs, and its statistics count the labels") {
  ModelFile model = load_model(LGMS_TEST_DATA "/released/0.1.0_3d.safetensors");
  model.volume_recipe.ras = true;  // the way back turns and resamples
  model.volume_recipe.spacing = {1.1, 1, 1.3};
  const Predictor predictor(model, "released");
  const int64_t classes = model.config.classes;
  Context context({.threads = 2, .lean = true});
  const Context::Scope scope(context);
  PredictOptions options;
  options.affine = {{{0, -1, 0, 9}, {1.2, 0, 0, -7}, {0, 0, 1, 3}}};
  options.statistics = options.whole_probabilities = true;
  int64_t handed_on = 0;
  options.probabilities = [&](const Size3&, const TensorView& p) { handed_on += p.numel(); };
  const Tensor volume = Tensor::zeros({40, 36, 50, 1});
  for (int64_t i = 0; i < volume.numel(); ++i) volume.data<float>()[i] = static_cast<float>(i % 50 * (i / 1800));
  const VolumeCost cost = predictor.cost({40, 36, 50}, options, false, 0);
  const Prediction prediction = predictor.predict(volume, options);
  CHECK(context.allocator()->peak() < cost.peak_bytes());
  const Tensor& p = prediction.probabilities;
  REQUIRE(p.shape() == Shape{40, 36, 50, classes});
  CHECK(handed_on == p.numel());
  int64_t wrong = 0;
  std::vector<int64_t> count(static_cast<size_t>(classes));
  for (int64_t v = 0; v < volume.numel(); ++v) {
    const float* of = p.data<float>() + v * classes;
    const auto label = static_cast<size_t>(std::max_element(of, of + classes) - of);
    float sum = 0;
    for (int64_t k = 0; k < classes; ++k) sum += of[k];
    wrong += label != prediction.labels.data<uint8_t>()[v] || std::abs(sum - 1) > 1e-5f;
    ++count[label];
  }
  CHECK(wrong == 0);
  REQUIRE(std::ssize(prediction.statistics) == classes - 1);
  for (const LabelStatistics& of : prediction.statistics) {
    CHECK(of.voxels == count[static_cast<size_t>(of.label)]);
    CHECK(of.millilitres == doctest::Approx(static_cast<double>(of.voxels) * 1.2e-3));
  }
}

TEST_CASE("infer: a model of another kind is refused by name") {
  ModelFile model = load_model(LGMS_TEST_DATA "/nuclei.safetensors");
  model.tensors.pop_back();
  CHECK(error_of([&] { const Predictor predictor(model, "cut.safetensors"); }, ErrorKind::model)
            .starts_with("[cut.safetensors] "));
}
