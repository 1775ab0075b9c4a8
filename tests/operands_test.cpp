// What every tensor call does with operands that do not fit, one at a time: it says so, by name, before it reads or
// writes a byte; with rows further apart than they are long it computes the same, or says that it wants them dense.
#include <functional>
#include <optional>
#include <set>

#include "kernels/activation/activation.h"
#include "kernels/add/add.h"
#include "kernels/attention/attention.h"
#include "kernels/channel_norm/channel_norm.h"
#include "kernels/convolution/convolution.h"
#include "kernels/convolution/weight_gradient/weight_gradient.h"
#include "kernels/depthwise/depthwise.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/loss/bce_dice_loss.h"
#include "kernels/loss/dice_ce_loss.h"
#include "kernels/max_pool/max_pool.h"
#include "kernels/multiscale_depthwise/multiscale_depthwise.h"
#include "kernels/optimizer/optimizer.h"
#include "kernels/upsample/upsample.h"
#include "tests/support/emulated_device.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::kernels;
using namespace lgms::testing;

namespace {

using Operands = std::vector<Tensor>;

struct Call {
  const char* name;
  Operands operands;  // these fit
  std::function<void(const Operands&)> run;
  std::set<size_t> optional = {};  // may be undefined
};

Tensor ones(const Shape& shape) {
  Tensor t = Tensor::empty(Device::cpu, shape, DType::f64);
  t.fill(1);
  return t;
}

// Every tensor call of every op, in double.
std::vector<Call> calls() {
  const auto t = [](std::initializer_list<int64_t> shape) { return randn(Shape(shape), 1); };
  const auto quarters = [](const Operands& o, size_t first) {
    return Quarters{o[first], o[first + 1], o[first + 2], o[first + 3]};
  };
  const Shape s{2, 1, 4, 4, 8};
  const Tensor x = randn(s, 2), y = randn(s, 3);
  const Tensor labels = Tensor::zeros(Device::cpu, {2, 1, 4, 4}, DType::i64),
               winners = Tensor::zeros(Device::cpu, {2, 1, 2, 2, 8}, DType::u8);
  const NormSets instance{}, batch{1, true};
  const Activation none = Activation::none;
  return {
      {"activation_forward", {x, y}, [](const Operands& o) { activation_forward(o[0], Activation::relu, o[1]); }},
      {"activation_backward",
       {x, y, t({2, 1, 4, 4, 8})},
       [](const Operands& o) { activation_backward(o[0], o[1], Activation::gelu, o[2]); }},
      {"add_forward", {x, y, t({2, 1, 4, 4, 8})}, [](const Operands& o) { add_forward(o[0], o[1], o[2]); }},
      {"attention_forward",
       {t({1, 1, 4, 4, 48}), t({1, 1, 4, 4, 16}), t({1, 1, 4, 4, 4})},
       [](const Operands& o) { attention_forward(o[0], 2, 2, o[1], o[2]); }},
      {"attention_backward",
       {t({1, 1, 4, 4, 48}), t({1, 1, 4, 4, 16}), ones({1, 1, 4, 4, 4}), t({1, 1, 4, 4, 16}), t({1, 1, 4, 4, 48})},
       [](const Operands& o) { attention_backward(o[0], o[1], o[2], o[3], 2, 2, o[4]); }},
      {"channel_norm_statistics",
       {x, t({2, 8}), t({2, 8})},
       [=](const Operands& o) { channel_norm_statistics(o[0], none, instance, o[1], o[2]); }},
      {"channel_norm_forward",
       {x, t({2, 8}), ones({2, 8}), t({8}), t({8}), y, t({2, 1, 4, 4, 8})},
       [](const Operands& o) { channel_norm_forward(o[0], o[1], o[2], o[3], o[4], {.residual = o[5]}, o[6]); },
       {3, 4, 5}},
      {"channel_norm_backward",
       {x, y, t({1, 8}), ones({1, 8}), t({8}), t({8}), t({2, 1, 4, 4, 8}), t({8}), t({8})},
       [=](const Operands& o) {
         channel_norm_backward(o[0], o[1], batch, o[2], o[3], o[4], o[5], none, none, false, o[6], o[7], o[8]);
       },
       {4, 5, 6, 7, 8}},
      {"update_running_statistics",
       {t({8}), ones({8}), Tensor::zeros(Device::cpu, {1}, DType::i64), t({1, 8}), ones({1, 8})},
       [](const Operands& o) { update_running_statistics(o[0], o[1], o[2], o[3], o[4], 32, 0.1); },
       {0, 1, 2}},
      {"convolution_forward",
       {x, t({6, 8, 3, 3}), t({6}), t({2, 1, 4, 4, 6})},
       [](const Operands& o) { convolution_forward(o[0], o[1], o[2], 1, o[3]); },
       {2}},
      {"convolution_data_gradient",
       {t({2, 1, 4, 4, 6}), t({6, 8, 3, 3}), x},
       [](const Operands& o) { convolution_data_gradient(o[0], o[1], 1, o[2]); }},
      {"convolution_weight_gradient",
       {x, t({2, 1, 4, 4, 6}), t({6, 8, 3, 3}), t({6})},
       [](const Operands& o) { convolution_weight_gradient(o[0], o[1], 1, o[2], o[3]); },
       {3}},
      {"depthwise_forward",
       {x, t({8, 1, 3, 3}), t({8}), y},
       [](const Operands& o) { depthwise_forward(o[0], o[1], o[2], o[3]); },
       {2}},
      {"depthwise_data_gradient",
       {x, t({8, 1, 3, 3}), y},
       [](const Operands& o) { depthwise_data_gradient(o[0], o[1], o[2]); }},
      {"depthwise_weight_gradient",
       {x, y, t({8, 1, 3, 3}), t({8})},
       [](const Operands& o) { depthwise_weight_gradient(o[0], o[1], o[2], o[3]); },
       {3}},
      {"multiscale_depthwise_forward",
       {x, y, t({2, 1, 3, 3}), t({2, 1, 5, 5}), t({2, 1, 7, 7}), t({2, 1, 9, 9}), t({2}), t({2}), t({2}), t({2})},
       [=](const Operands& o) { multiscale_depthwise_forward(o[0], quarters(o, 2), quarters(o, 6), true, o[1]); },
       {6, 7, 8, 9}},
      {"multiscale_depthwise_data_gradient",
       {x, y, t({2, 1, 3, 3}), t({2, 1, 5, 5}), t({2, 1, 7, 7}), t({2, 1, 9, 9})},
       [=](const Operands& o) { multiscale_depthwise_data_gradient(o[0], quarters(o, 2), true, o[1]); }},
      {"multiscale_depthwise_weight_gradient",
       {x, y, t({2, 1, 3, 3}), t({2, 1, 5, 5}), t({2, 1, 7, 7}), t({2, 1, 9, 9}), t({2}), t({2}), t({2}), t({2})},
       [=](const Operands& o) { multiscale_depthwise_weight_gradient(o[0], o[1], quarters(o, 2), quarters(o, 6)); },
       {6, 7, 8, 9}},
      {"layer_norm_forward",
       {x, t({8}), t({8}), y},
       [](const Operands& o) { layer_norm_forward(o[0], o[1], o[2], 1e-5, o[3]); }},
      {"layer_norm_backward",
       {x, t({8}), y, t({2, 1, 4, 4, 8}), t({8}), t({8})},
       [](const Operands& o) { layer_norm_backward(o[0], o[1], o[2], 1e-5, o[3], o[4], o[5]); },
       {3}},
      {"bce_dice_loss_forward",
       {x, ones(s), t({1}), t({2, 2})},
       [](const Operands& o) { bce_dice_loss_forward(o[0], o[1], o[2], o[3]); }},
      {"bce_dice_loss_backward",
       {x, ones(s), ones({2, 2}), t({1}), y},
       [](const Operands& o) { bce_dice_loss_backward(o[0], o[1], o[2], o[3], o[4]); }},
      {"dice_ce_loss_forward",
       {x, labels, t({1}), t({2, 2, 8})},
       [](const Operands& o) { dice_ce_loss_forward(o[0], o[1], o[2], o[3]); }},
      {"dice_ce_loss_backward",
       {x, labels, ones({2, 2, 8}), t({1}), y},
       [](const Operands& o) { dice_ce_loss_backward(o[0], o[1], o[2], o[3], o[4]); }},
      {"max_pool_forward",
       {x, t({2, 1, 2, 2, 8}), winners},
       [](const Operands& o) { max_pool_forward(o[0], 2, o[1], o[2]); },
       {2}},
      {"max_pool_backward",
       {t({2, 1, 2, 2, 8}), winners, x},
       [](const Operands& o) { max_pool_backward(o[0], o[1], 2, o[2]); }},
      {"sgd_step", {x, y, t({2, 1, 4, 4, 8})}, [](const Operands& o) { sgd_step({}, o[0], o[1], o[2]); }},
      {"adamw_step",
       {x, y, t({2, 1, 4, 4, 8}), ones(s)},
       [](const Operands& o) { adamw_step({}, 1, o[0], o[1], o[2], o[3]); }},
      {"upsample_forward", {x, t({2, 1, 8, 8, 8})}, [](const Operands& o) { upsample_forward(o[0], 2, o[1]); }},
      {"upsample_backward", {t({2, 1, 8, 8, 8}), x}, [](const Operands& o) { upsample_backward(o[0], 2, o[1]); }},
  };
}

Operands clones(const Operands& operands) {
  Operands all;
  for (const Tensor& t : operands) all.push_back(t.clone());
  return all;
}

std::optional<ErrorKind> kind_of(const Call& call, const Operands& operands) {
  try {
    call.run(operands);
  } catch (const Error& e) {
    CHECK(e.message().starts_with("["));
    return e.kind();
  }
  return {};
}

// f(call, operands, index): of copies of every call's operands, whose one of that index is to be replaced.
template <class F>
void over_operands(const std::vector<Call>& all, const F& f) {
  for (const Call& call : all)
    for (size_t i = 0; i < call.operands.size(); ++i) {
      CAPTURE(call.name);
      CAPTURE(i);
      Operands operands = clones(call.operands);
      f(call, operands, i);
    }
}

// That the call refuses these, and leaves them alone.
void check_refused(const Call& call, const Operands& operands, const Operands& before) {
  CHECK(kind_of(call, operands) == ErrorKind::usage);
  for (size_t i = 0; i < operands.size(); ++i)
    if (operands[i].defined() && operands[i].device() == Device::cpu && operands[i].shape() == before[i].shape() &&
        operands[i].dtype() == before[i].dtype())
      CHECK(max_difference(operands[i], before[i]) == 0);
}

}  // namespace

TEST_CASE("operands: those that fit are taken") {
  for (const Call& call : calls()) {
    CAPTURE(call.name);
    CHECK(kind_of(call, clones(call.operands)) == std::nullopt);
  }
}

TEST_CASE("operands: one that is not there is refused, unless it may be absent") {
  over_operands(calls(), [](const Call& call, Operands& operands, size_t i) {
    operands[i] = Tensor();
    if (call.optional.contains(i))
      CHECK(kind_of(call, operands) == std::nullopt);
    else
      check_refused(call, operands, call.operands);
  });
}

TEST_CASE("operands: one of another type is refused") {
  for (const DType dtype : {DType::f32, DType::f64, DType::i64, DType::u8})
    over_operands(calls(), [&](const Call& call, Operands& operands, size_t i) {
      const std::string_view name = call.name;
      const bool any_float =
          (name == "update_running_statistics" && i < 2) || (name == "channel_norm_statistics" && i == 0);
      if (dtype == operands[i].dtype() || (any_float && dtype == DType::f32)) return;
      CAPTURE(dtype);
      operands[i] = operands[i].to(dtype);
      check_refused(call, operands, call.operands);
    });
}

TEST_CASE("operands: one of another shape is refused") {
  for (const int64_t c : {-1, 1})
    over_operands(calls(), [&](const Call& call, Operands& operands, size_t i) {
      const Shape shape = operands[i].shape().with_channels(c < 0 ? 0 : operands[i].channels() + c);
      CAPTURE(shape);
      operands[i] = Tensor::zeros(shape, operands[i].dtype());
      check_refused(call, operands, call.operands);
      operands[i] = Tensor::zeros(Shape{2, 3}, operands[i].dtype());
      check_refused(call, operands, call.operands);
    });
}

TEST_CASE("operands: one that is on another device is refused, and not touched") {
  const std::vector<Call> all = calls();
  const auto device = std::make_shared<EmulatedDevice>();
  Context context({.device = device});
  const Context::Scope scope(context);
  over_operands(all, [&](const Call& call, Operands& operands, size_t i) {
    operands[i] = operands[i].to(Device::emulated);
    check_refused(call, operands, call.operands);
  });
}

TEST_CASE("operands: rows that lie apart change no result, or are refused") {
  over_operands(calls(), [](const Call& call, Operands& operands, size_t i) {
    if (operands[i].shape().rank() < 2) return;
    Operands want = clones(call.operands);
    call.run(want);
    operands[i] = padded(operands[i].shape(), operands[i].dtype(), 3);
    operands[i].copy_from(call.operands[i]);
    const auto kind = kind_of(call, operands);
    CHECK((!kind || kind == ErrorKind::usage));
    for (size_t j = 0; j < operands.size(); ++j)
      CHECK(max_difference(operands[j], kind ? call.operands[j] : want[j]) < 1e-12);
    if (operands[i].dtype() == DType::f64) CHECK(padding_intact(operands[i], 3));
  });
}

TEST_CASE("operands: tensors without elements are computed on, or refused") {
  for (const Call& call : calls())
    for (const bool images : {true, false}) {
      CAPTURE(call.name);
      CAPTURE(images);
      Operands empty;
      for (const Tensor& t : call.operands) {
        std::vector<int64_t> extents(t.shape().extents().begin(), t.shape().extents().end());
        if (images && extents.size() != 1 && t.shape().rank() != 4) extents.front() = 0;
        if (!images && t.numel() > 1) extents.back() = 0;
        empty.push_back(Tensor::zeros(Shape(extents), t.dtype()));
      }
      const auto kind = kind_of(call, empty);
      CHECK((!kind || kind == ErrorKind::usage));
    }
}
