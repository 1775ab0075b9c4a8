#include "lgmsnet/training/verify.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops.h"
#include "core/context.h"
#include "core/error.h"
#include "core/io/safetensors.h"
#include "core/transform/layout.h"
#include "lgmsnet/model_file.h"
#include "lgmsnet/training/lgmsnet.h"
#include "nn/optimizer.h"

namespace lgms {

NamedTensors weights_of(const io::Safetensors& golden) {
  constexpr std::string_view prefix = "weights.";
  NamedTensors weights;
  for (const NamedTensor& t : golden.tensors)
    if (t.name.starts_with(prefix)) weights.push_back({t.name.substr(prefix.size()), t.tensor});
  return weights;
}

namespace {

constexpr int64_t kMostSteps = 1000;

std::string index_text(const Shape& shape, int64_t element) {
  std::string index = "]";
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    index.insert(0, text(element % shape[axis], index == "]" ? "" : ", "));
    element /= shape[axis];
  }
  return "[" + index;
}

class Verifier {
 public:
  Verifier(const std::string& path, DType dtype)
      : path_(path),
        dtype_(dtype),
        golden_(io::read_safetensors(path)),
        net_(Config::from_json(metadata("config"), path), weights_of(golden_), path, dtype) {
    for (const NamedTensor& t : golden_.tensors) {
      const bool gradient = t.name.starts_with("train.grad.");
      const Tensor wide = t.tensor.to(DType::f64);
      for (const double v : wide.span<double>()) {
        check(std::isfinite(v), ErrorKind::model, "[", path, "] ", t.name, ": expected finite numbers, got ", v);
        if (gradient) largest_gradient_ = std::max(largest_gradient_, std::abs(v));
      }
    }
    report_.config = net_.config().to_json();
  }

  VerifyReport run() {
    evaluation();
    training();
    return std::move(report_);
  }
  VerifyReport run_plan() {
    compare("eval.logits", net_.inference().plan(input().shape())->run(input()), true);
    return std::move(report_);
  }

 private:
  const std::string& metadata(const std::string& key) const {
    const auto found = golden_.metadata.find(key);
    check(found != golden_.metadata.end(), ErrorKind::model, "[", path_,
          "] expected a golden file with the metadata key ", key, "; tests/oracle/make_golden.py writes such files");
    return found->second;
  }

  const Tensor& need(const std::string& name) const {
    const Tensor* t = golden_.find(name);
    check(t != nullptr, ErrorKind::model, "[", path_, "] ", name, ": the golden file does not hold this tensor");
    return *t;
  }

  double number(const std::string& name) const {
    const Tensor& t = need(name);
    check(t.numel() == 1, ErrorKind::model, "[", path_, "] ", name, ": expected one number, got ", t.shape());
    return *t.to(DType::f64).data<double>();
  }

  bool holds(const std::string& prefix) const {
    return std::any_of(golden_.tensors.begin(), golden_.tensors.end(),
                       [&](const NamedTensor& t) { return t.name.starts_with(prefix); });
  }
  // Notes a group that the file does not hold; true if it holds it.
  bool group(const std::string& prefix) {
    if (holds(prefix)) return true;
    report_.rows.push_back({.name = prefix + (prefix.ends_with(".") ? "*" : ""), .absent = true, .where = {}});
    return false;
  }

  Tensor input() const {
    const Tensor& t = need("input");
    check(t.numel() > 0, ErrorKind::model, "[", path_, "] input: expected at least one image, got ", t.shape());
    return transform::to_channels_last(t).to(dtype_).to(Context::current().device());
  }

  // got in our order; space: activations, to be brought into PyTorch's order first.
  void compare(const std::string& name, const Tensor& got, bool space) {
    const Tensor& stored = need(name);
    const Tensor read = got.to(Device::cpu);
    const Tensor ours = space ? transform::to_channels_first(read, net_.config().rank) : read.dense();
    VerifyRow row{.name = name, .where = {}};
    if (ours.shape() != stored.shape()) {
      row.error = INFINITY;
      row.where = text("shape ", ours.shape(), ", expected ", stored.shape());
      row.passed = false;
      report_.rows.push_back(row);
      return;
    }
    const Tensor a = ours.to(DType::f64), b = stored.to(DType::f64);
    double worst = 0, magnitude = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < a.numel(); ++i) {
      const double want = b.data<double>()[i], difference = std::abs(a.data<double>()[i] - want);
      magnitude = std::max(magnitude, std::abs(want));
      if (!(difference <= worst)) {  // also where it is not a number
        worst = std::isnan(difference) ? INFINITY : difference;
        at = i;
      }
    }
    row.where = index_text(stored.shape(), at);
    if (stored.dtype() == DType::i64 || stored.dtype() == DType::u8) {
      row.error = worst;
    } else if (dtype_ == DType::f64) {
      const double scale = std::max(magnitude, name.starts_with("train.grad.") ? 1e-3 * largest_gradient_ : 0.0);
      row.error = scale > 0 ? worst / scale : worst;
      row.bound = 1e-9 + (stored.dtype() == DType::f32 ? 0x1p-24 : 0.0);
    } else {
      row.error = worst;
      row.bound = 8 * number("spread." + name) + 0x1p-18 * magnitude;
    }
    row.passed = row.error <= row.bound;
    report_.rows.push_back(row);
  }

  void evaluation() {
    const bool stages = holds("eval.stage.");
    const Tensor logits = net_.inference().forward(input(), [&](const std::string& name, const Tensor& output) {
      if (stages) compare("eval.stage." + name, output, true);
    });
    if (!stages) group("eval.stage.");
    if (group("eval.logits")) compare("eval.logits", logits, true);
  }

  autograd::Variable loss(const autograd::Variable& logits) const {
    const Tensor& target = need("target");
    const Device device = Context::current().device();
    if (net_.config().rank == 3) return autograd::dice_ce_loss(logits, target.to(device));
    return autograd::bce_dice_loss(logits, transform::to_channels_last(target).to(dtype_).to(device));
  }

  void training() {
    if (!group("train.losses")) return;
    const int64_t steps = need("train.losses").numel();
    check(steps >= 1 && steps <= kMostSteps, ErrorKind::model, "[", path_, "] train.losses: expected 1 to ", kMostSteps,
          " steps, got ", steps);
    nn::ParameterStore& store = net_.store();
    const bool volume = net_.config().rank == 3;
    nn::Optimizer optimizer(store, volume ? nn::Optimizer::Options(kernels::AdamW{.rate = 0, .weight_decay = 1e-5})
                                          : kernels::Sgd{.rate = 0, .weight_decay = 1e-4});
    Tensor losses = Tensor::zeros(Device::cpu, {steps}, DType::f64);
    for (int64_t step = 0; step < steps; ++step) {
      store.clear_grads();
      const autograd::Variable logits = net_.forward(input(), true);
      const autograd::Variable l = loss(logits);
      losses.span<double>()[static_cast<size_t>(step)] = l.value().to(Device::cpu).to(DType::f64).span<double>()[0];
      autograd::backward(l);
      if (step == 0) {
        if (group("train.logits")) compare("train.logits", logits.value(), true);
        if (group("train.loss")) compare("train.loss", l.value().reshaped({}), false);
        if (group("train.grad."))
          for (const nn::ParameterStore::Entry& e : store.entries())
            if (e.trained()) compare("train.grad." + e.name, e.parameter.grad(), false);
      }
      optimizer.step(volume ? 1e-3 : 0.02);
    }
    compare("train.losses", losses, false);
    if (group("train.weights."))
      for (const nn::ParameterStore::Entry& e : store.entries()) compare("train.weights." + e.name, e.value(), false);
  }

  const std::string& path_;
  DType dtype_;
  io::Safetensors golden_;
  LGMSNet net_;
  double largest_gradient_ = 0;
  VerifyReport report_;
};

}  // namespace

bool VerifyReport::passed() const {
  return std::all_of(rows.begin(), rows.end(), [](const VerifyRow& row) { return row.absent || row.passed; });
}

VerifyReport verify(const std::string& path, DType dtype) {
  return about_model(path, [&] { return Verifier(path, dtype).run(); });
}

VerifyReport verify_plan(const std::string& path) {
  return about_model(path, [&] { return Verifier(path, DType::f32).run_plan(); });
}

}  // namespace lgms
