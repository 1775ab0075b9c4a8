#include <cmath>

#include "lgmsnet/names.h"
#include "lgmsnet/steps.h"
#include "lgmsnet/training/lgmsnet.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

namespace {

int64_t trained(const std::vector<ParameterSpec>& specs) {
  int64_t sum = 0;
  for (const ParameterSpec& spec : specs) sum += spec.trained ? spec.shape.numel() : 0;
  return sum;
}

NamedTensors weights_of(const Config& config) { return LGMSNet(config).store().tensors(); }

// The widths of the small golden files.
Config tiny(int rank) {
  Config config = Config::named(rank == 2 ? "2d" : "3d");
  config.dims = {8, 16, 16, 24, 32};
  config.splits = {{{16, 8}, {24, 8}, {16, 8}, {12, 4}}};
  return config;
}

}  // namespace

TEST_CASE("network: tensors, trained parameters and operations are those of the paper") {
  const auto flat = parameter_specs(Config::named("2d")), volume = parameter_specs(Config::named("3d"));
  CHECK(flat.size() == 372);
  CHECK(trained(flat) == 2321393);
  CHECK(volume.size() == 177);
  CHECK(trained(volume) == 6193742);
  int64_t macs = 0, others = 0;
  for (const Step& row : steps_of(Config::named("2d"), {1, 1, 256, 256, 3}).steps) {
    macs += row.macs;
    others += row.attention_macs + row.upsample_macs;
  }
  CHECK(2e-9 * static_cast<double>(macs) == doctest::Approx(9.405).epsilon(1e-4));
  CHECK(2e-9 * static_cast<double>(macs + others) == doctest::Approx(10.04).epsilon(1e-3));
}

TEST_CASE("network: the configuration is read off names and shapes, with or without a prefix") {
  for (const char* name : {"2d", "3d", "3d-l0", "3d-l1", "3d-l2"}) {
    CAPTURE(name);
    const Config config = Config::named(name);
    NamedTensors tensors;
    for (const ParameterSpec& spec : parameter_specs(config))
      tensors.push_back({"module." + spec.name, Tensor::zeros(spec.shape, spec.dtype)});
    CHECK(config_of(with_our_names(tensors), "test") == config);
    CHECK(Config::from_json(config.to_json(), "test") == config);
  }
  CHECK(error_of([] {
          config_of({}, "a.pth");
        }).starts_with("[a.pth] expected the weights of LGMSNet, with a tensor stem"));
}

TEST_CASE("network: the paper's 3D widths by name") {
  const auto is = [](const char* name, std::array<int64_t, 5> dims, std::array<Split, 4> splits,
                     std::array<int64_t, 3> depths) {
    const Config c = Config::named(name);
    return c.rank == 3 && c.in_channels == 1 && c.dims == dims && c.splits == splits && c.depths == depths;
  };
  const std::array<int64_t, 5> narrow{16, 32, 64, 128, 128}, wide{32, 64, 128, 160, 256};
  const std::array<Split, 4> of_narrow{{{96, 32}, {96, 32}, {96, 32}, {48, 16}}},
      of_wide{{{120, 40}, {192, 64}, {120, 40}, {96, 32}}};
  CHECK(is("3d", narrow, of_narrow, {1, 1, 1}));
  CHECK(is("3d-l0", narrow, of_narrow, {1, 1, 3}));
  CHECK(is("3d-l1", wide, of_wide, {1, 1, 2}));
  CHECK(is("3d-l2", wide, of_wide, {1, 1, 3}));
}

TEST_CASE("network: impossible configurations are refused by key") {
  Config config;
  config.splits[1] = {90, 32};
  CHECK(error_of([&] { config.validate("m"); }).starts_with("[m] config splits[1]: expected a pair that adds up to"));
  config = {};
  config.dims[0] = 18;
  CHECK(error_of([&] { config.validate("m"); }) == "[m] config dims[0]: expected a multiple of 4, got 18");
  CHECK(error_of([] { Config::from_json("[1]", "m"); }) == "[m] config: expected a JSON object, got [1]");
  const std::string deep = "{\"rank\": " + std::string(1'000'000, '[') + std::string(1'000'000, ']') + "}";
  CHECK(error_of([&] {
          Config::from_json(deep, "m");
        }).starts_with("[m] config: expected a JSON object, got: more than 64"));
  CHECK(error_of([] { Config::from_json("{\"rank\": 4}", "m"); }) == "[m] config rank: expected 2 to 3, got 4");
  CHECK(error_of([] { Config::named("4d"); }).starts_with("[config] expected 2d, 3d"));
}

TEST_CASE("network: weights that do not fit are refused and nothing is changed") {
  LGMSNet net(tiny(2), 1);
  const double before = net.store().parameter("stem.conv.0.weight").value().span<float>()[0];
  NamedTensors tensors = weights_of(tiny(2));
  NamedTensors missing(tensors.begin(), tensors.end() - 1), extra = tensors, nan = tensors, shape = tensors;
  extra.push_back({"head", Tensor::zeros({1})});
  nan.back().tensor = Tensor::full(nan.back().tensor.shape(), NAN);
  shape.back().tensor = Tensor::zeros({7});
  CHECK(error_of([&] { net.store().load(missing, "f"); }).find("does not hold this tensor") != std::string::npos);
  CHECK(error_of([&] { net.store().load(extra, "f"); }).starts_with("[f] head: the network has no such tensor"));
  CHECK(error_of([&] { net.store().load(nan, "f"); }).find("expected finite numbers") != std::string::npos);
  CHECK(error_of([&] { net.store().load(shape, "f"); }).find("expected shape") != std::string::npos);
  CHECK(net.store().parameter("stem.conv.0.weight").value().span<float>()[0] == before);
}

TEST_CASE("network: initialisation depends on the seed and the layer only, within PyTorch's bounds") {
  const LGMSNet a(tiny(2), 1), b(tiny(2), 1), c(tiny(2), 2);
  const auto weight = [](const LGMSNet& net) { return net.store().parameter("stem.conv.0.weight").value(); };
  CHECK(max_difference(weight(a), weight(b)) == 0);
  CHECK(max_difference(weight(a), weight(c)) > 0.01);
  CHECK(max_magnitude(weight(a)) <= 1 / std::sqrt(27.0));
  CHECK(max_magnitude(weight(a)) > 0.9 / std::sqrt(27.0));
  CHECK(max_magnitude(a.store().parameter("stem.conv.1.weight").value()) == 1);
  CHECK(max_magnitude(a.store().buffer("stem.conv.1.running_mean")) == 0);
}

TEST_CASE("network: inputs that do not fit are refused") {
  const LGMSNet net(tiny(2));
  CHECK(error_of([&] {
          net.forward(Tensor::zeros({1, 1, 32, 48, 3}), false);
        }).starts_with("[network] input: expected sides that are multiples of 32, got [1, 1, 32, 48, 3]"));
  CHECK(error_of([&] {
          net.forward(Tensor::zeros({1, 1, 32, 32, 1}), false);
        }).starts_with("[network] input: expected [N"));
  CHECK(error_of([&] {
          net.forward(Tensor::zeros({1, 32, 32, 32, 3}), false);
        }).starts_with("[network] input: expected depth 1"));
}

TEST_CASE("network: the same bits for 1, 2 and 3 threads, logits and all gradients, 2D and 3D") {
  for (int rank : {2, 3}) {
    CAPTURE(rank);
    const Config config = tiny(rank);
    std::vector<std::vector<float>> results;
    for (int threads : {1, 2, 3}) {
      Context context({.threads = threads});
      const Context::Scope scope(context);
      const LGMSNet net(config, 5);
      const Shape shape = rank == 2 ? Shape{3, 1, 64, 32, 3} : Shape{1, 32, 32, 32, 1};
      const autograd::Variable logits = net.forward(randn(shape, 1, DType::f32), true);
      autograd::backward(logits, randn(logits.shape(), 2, DType::f32));
      std::vector<float> bits(logits.value().span<float>().begin(), logits.value().span<float>().end());
      for (const auto& entry : net.store().entries()) {
        const Tensor t = (entry.trained() ? entry.parameter.grad() : entry.buffer).dense().to(DType::f32);
        bits.insert(bits.end(), t.span<float>().begin(), t.span<float>().end());
      }
      results.push_back(bits);
    }
    CHECK(results[0] == results[1]);
    CHECK(results[0] == results[2]);
  }
}

TEST_CASE("network: checkpointing changes no bit of logits, gradients and running statistics, and keeps far less") {
  for (int rank : {2, 3}) {
    CAPTURE(rank);
    std::vector<std::vector<float>> results;
    std::vector<int64_t> kept;
    for (bool checkpointing : {false, true}) {
      const LGMSNet net(tiny(rank), 5);
      const Shape shape = rank == 2 ? Shape{3, 1, 64, 32, 3} : Shape{1, 32, 32, 32, 1};
      int stages = 0;
      const auto count = [&](const std::string&, const Tensor&) { ++stages; };
      for (uint64_t step : {1, 2}) {  // the second step's gradients are added to the first's
        const autograd::Variable logits = net.forward(randn(shape, step, DType::f32), true, count, checkpointing);
        int64_t bytes = 0;
        for (const autograd::SavedTensor& row : autograd::saved_tensors(logits)) bytes += row.bytes;
        kept.push_back(bytes);
        autograd::backward(logits, randn(logits.shape(), 3, DType::f32));
        const auto values = logits.value().span<float>();
        results.emplace_back(values.begin(), values.end());
      }
      CHECK(stages == 2 * 15);
      for (const auto& entry : net.store().entries()) {
        const Tensor t = (entry.trained() ? entry.parameter.grad() : entry.buffer).dense().to(DType::f32);
        results.back().insert(results.back().end(), t.span<float>().begin(), t.span<float>().end());
      }
    }
    CHECK(results[0] == results[2]);
    CHECK(results[1] == results[3]);
    CHECK(kept[2] * 3 < kept[0]);
  }
}

TEST_CASE("network: an inference in place leaves its input alone and gives the same bits again") {
  const LGMSNet net(tiny(3), 5);
  const Tensor x = randn({1, 32, 32, 32, 1}, 1, DType::f32), before = x.clone();
  const autograd::NoGrad no_grad;
  std::vector<Tensor> stages, again;
  const Tensor y = net.forward(x, false, [&](const std::string&, const Tensor& t) { stages.push_back(t); }).value();
  const Tensor z =
      net.forward(x, false, [&](const std::string&, const Tensor& t) { again.push_back(t.clone()); }).value();
  CHECK(max_difference(x, before) == 0);
  CHECK(max_difference(y, z) == 0);
  REQUIRE(stages.size() == again.size());
  for (size_t i = 0; i < stages.size(); ++i) CHECK(max_difference(stages[i], again[i]) == 0);
}
