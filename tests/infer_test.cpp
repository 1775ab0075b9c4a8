// Inference on its own: this program is linked to lgms_infer and nothing that stands right of it.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cmath>

#include "core/io/safetensors.h"
#include "core/transform/layout.h"
#include "lgmsnet/inference.h"
#include "lgmsnet/model_file.h"
#include "lgmsnet/sliding_window.h"

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

TEST_CASE("infer: the model that ships turns a picture into a mask") {
  const ModelFile model = load_model(LGMS_TEST_DATA "/nuclei.safetensors");
  const Inference network(model.config, model.tensors, "nuclei");
  const Tensor picture = Tensor::zeros({70, 90, 3}, DType::u8);  // a dark field with a bright disc
  for (int64_t i = 0; i < 70 * 90; ++i)
    if (std::hypot(static_cast<double>(i / 90) - 30, static_cast<double>(i % 90) - 40) < 12)
      for (int64_t c = 0; c < 3; ++c) picture.data<uint8_t>()[3 * i + c] = 170;
  const Tensor input = make_input(model.recipe, picture);
  const Tensor logits = network.forward(input.reshaped({1, 1, input.shape()[1], input.shape()[2], 3}));
  const Tensor mask = masks_from(probabilities_at(logits, 70, 90), model.recipe.threshold);
  CHECK(mask.data<uint8_t>()[30 * 90 + 40] == 255);
  CHECK(mask.data<uint8_t>()[5 * 90 + 85] == 0);
}
