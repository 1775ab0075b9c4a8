// Every block of the network, and the two losses, against golden files that PyTorch wrote in double
// (tests/oracle/make_blocks.py states what they hold).
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/io/safetensors.h"
#include "core/transform/layout.h"
#include "lgmsnet/training/training_builder.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;
using autograd::Variable;
using nlohmann::json;

namespace {

constexpr const char* kPrefix = "block";

// Runs the block of a golden file on x.
Variable run_block(TrainingBuilder& b, const std::string& kind, const json& c, const Variable& x) {
  const std::string name = kPrefix;
  if (kind == "conv_relu")
    return conv_norm(b, name + ".conv.0", name + ".conv.1", x, c["cout"].get<int64_t>(), 3, true, Activation::relu);
  if (kind == "lms") return lms(b, name, x);
  if (kind == "gms") return gms(b, name, x, {c["split"][0].get<int64_t>(), c["split"][1].get<int64_t>()});
  if (kind == "split_conv") return split_conv(b, name, x);
  if (kind == "transformer") return sparse_transformer(b, name, x, c["hidden"].get<int64_t>());
  if (kind == "fuse") return fuse(b, name, x, c["cout"].get<int64_t>());
  if (kind == "up") return up(b, name, x, c["cout"].get<int64_t>());
  FAIL("no such block: " << kind);
  return {};
}

// The store of a golden file's "weights.*", under kPrefix.
nn::ParameterStore store_of(const io::Safetensors& golden, DType dtype) {
  std::vector<ParameterSpec> specs;
  NamedTensors values;
  for (const NamedTensor& t : golden.tensors) {
    if (!t.name.starts_with("weights.")) continue;
    const std::string key = t.name.substr(8);
    const bool buffer = key.find("running_") != key.npos || key.ends_with("num_batches_tracked");
    values.push_back({kPrefix + ("." + key), t.tensor});
    specs.push_back(
        {.name = values.back().name, .shape = t.tensor.shape(), .dtype = t.tensor.dtype(), .trained = !buffer});
  }
  nn::ParameterStore store(specs, 0, dtype);
  store.load(values, "golden");
  return store;
}

class BlockTest {
 public:
  BlockTest(const std::filesystem::path& file, DType dtype)
      : golden_(io::read_safetensors(file)), dtype_(dtype), config_(json::parse(golden_.metadata.at("config"))) {}

  void run() {
    const std::string kind = golden_.metadata.at("kind");
    const bool loss = kind == "bce_dice" || kind == "dice_ce";
    const nn::ParameterStore store = store_of(golden_, dtype_);
    const Variable x(transform::to_channels_last(need("input")).to(dtype_), true);
    if (!loss) {
      TrainingBuilder b(rank(), store, false);
      const autograd::NoGrad no_grad;
      compare("eval.output", transform::to_channels_first(run_block(b, kind, config_, x).value(), rank()));
    }
    TrainingBuilder b(rank(), store, true);
    const Variable y = loss ? run_loss(kind, x) : run_block(b, kind, config_, x);
    autograd::backward(y, loss ? need("cotangent").to(dtype_).reshaped(y.shape())
                               : transform::to_channels_last(need("cotangent")).to(dtype_));
    compare("train.output", loss ? y.value().reshaped({}) : transform::to_channels_first(y.value(), rank()));
    compare("train.grad.input", transform::to_channels_first(x.grad(), rank()));
    for (const auto& e : store.entries()) {
      const std::string key = e.name.substr(std::string(kPrefix).size() + 1);
      compare(e.trained() ? "train.grad." + key : "train.weights." + key, e.trained() ? e.parameter.grad() : e.buffer);
    }
  }

 private:
  int rank() const { return config_["rank"].get<int>(); }
  const Tensor& need(const std::string& name) const {
    CAPTURE(name);
    REQUIRE(golden_.find(name) != nullptr);
    return *golden_.find(name);
  }
  Variable run_loss(const std::string& kind, const Variable& logits) const {
    if (kind == "dice_ce") return autograd::dice_ce_loss(logits, need("target"));
    return autograd::bce_dice_loss(logits, transform::to_channels_last(need("target")).to(dtype_));
  }
  // Relative to the largest magnitude, and for gradients that are zero but for rounding (a bias in front of a norm) to
  // 1: cotangents are standard normals. Blocks are a few hundred terms deep: 2^10 roundings in float.
  void compare(const std::string& name, const Tensor& got) const {
    CAPTURE(name);
    const Tensor& want = need(name);
    const double scale = std::max(1.0, max_magnitude(want));
    CHECK(max_difference(got, want) <= scale * (dtype_ == DType::f64 ? 1e-11 : 0x1p-13));
  }

  io::Safetensors golden_;
  DType dtype_;
  json config_;
};

}  // namespace

TEST_CASE("blocks: outputs, gradients and running statistics are PyTorch's, in double and in float on every ISA") {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(LGMS_TEST_DATA) / "golden")) {
    if (entry.path().extension() != ".safetensors" || entry.path().filename().string().starts_with("net_")) continue;
    ++files;
    CAPTURE(entry.path());
    BlockTest(entry.path(), DType::f64).run();
    for (Isa isa : isas()) {
      CAPTURE(isa);
      Context context({.threads = 2, .isa = isa});
      const Context::Scope scope(context);
      BlockTest(entry.path(), DType::f32).run();
    }
  }
  CHECK(files >= 16);
}
