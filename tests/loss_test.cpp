#include <cmath>

#include "autograd/gradcheck.h"
#include "autograd/ops.h"
#include "kernels/loss/reference.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

namespace {

// Targets 0, 1 and, now and then, between.
Tensor targets(const Shape& shape, DType dtype) {
  const Tensor t = randn(shape, 9);
  for (double& v : t.span<double>()) v = v > 1 ? 0.25 : v > 0;
  return t.to(dtype);
}

Tensor labels(const Shape& shape, int64_t classes) {
  const Tensor t = integers(shape, 9, DType::i64);
  for (int64_t& v : t.span<int64_t>()) v = (v + 4) % classes;
  return t;
}

// Loss and gradient for the same numbers in one type.
std::pair<Tensor, Tensor> bce_dice(const Shape& shape, DType dtype, int64_t pad, double scale) {
  const Tensor raw = randn(shape, 1, DType::f32);
  for (float& v : raw.span<float>()) v *= static_cast<float>(scale);
  const Tensor x = padded(shape, dtype, pad);
  x.copy_from(raw.to(dtype));
  const autograd::Variable v(x, true);
  const autograd::Variable loss = autograd::bce_dice_loss(v, targets(shape, dtype));
  autograd::backward(loss, Tensor::full({}, 3, dtype));
  return {loss.value(), v.grad()};
}

std::pair<Tensor, Tensor> dice_ce(const Shape& shape, DType dtype, int64_t pad, double scale) {
  const Tensor raw = randn(shape, 1, DType::f32);
  for (float& v : raw.span<float>()) v *= static_cast<float>(scale);
  const Tensor x = padded(shape, dtype, pad);
  x.copy_from(raw.to(dtype));
  const autograd::Variable v(x, true);
  const autograd::Variable loss = autograd::dice_ce_loss(v, labels({shape[0], shape[1], shape[2], shape[3]}, shape[4]));
  autograd::backward(loss, Tensor::full({}, 3, dtype));
  return {loss.value(), v.grad()};
}

}  // namespace

TEST_CASE("bce_dice_loss: a small case by hand") {
  // logits 0, ln 3; targets 1, 0: s = 0.5, 0.75; BCE = ln 2, ln 4
  const Tensor x = Tensor::from<double>({1, 1, 1, 2, 1}, std::vector<double>{0, std::log(3)});
  const Tensor t = Tensor::from<double>({1, 1, 1, 2, 1}, std::vector<double>{1, 0});
  const double want = 0.5 * (std::log(2) + std::log(4)) / 2 + 1 - (2 * 0.5 + 1e-5) / (1.25 + 1 + 1e-5);
  CHECK(autograd::bce_dice_loss(autograd::Variable(x), t).value().data<double>()[0] ==
        doctest::Approx(want).epsilon(1e-14));
}

TEST_CASE("dice_ce_loss: a small case by hand") {
  // two pixels, two classes, p = (0.5, 0.5) and (0.75, 0.25), labels 0 and 1
  const Tensor x = Tensor::from<double>({1, 1, 1, 2, 2}, std::vector<double>{5, 5, std::log(3), 0});
  const Tensor l = Tensor::from<int64_t>({1, 1, 1, 2}, std::vector<int64_t>{0, 1});
  const double dice0 = 2 * 0.5 / (0.25 + 0.5625 + 1 + 1e-6), dice1 = 2 * 0.25 / (0.25 + 0.0625 + 1 + 1e-6);
  const double want = 1 - (dice0 + dice1) / 2 + (std::log(2) + std::log(4)) / 2;
  CHECK(autograd::dice_ce_loss(autograd::Variable(x), l).value().data<double>()[0] ==
        doctest::Approx(want).epsilon(1e-14));
}

TEST_CASE("losses: gradients match central differences in double, 2D and 3D, strided") {
  for (const Shape& shape : {Shape{2, 1, 3, 5, 1}, Shape{2, 3, 2, 3, 4}}) {
    const auto bce = [&](auto& v) { return autograd::bce_dice_loss(v[0], targets(shape, DType::f64)); };
    const auto ce = [&](auto& v) {
      return autograd::dice_ce_loss(v[0], labels({shape[0], shape[1], shape[2], shape[3]}, shape[4]));
    };
    for (int64_t pad : {0, 3}) {
      CHECK(autograd::gradcheck(bce, {randn(shape, 1, DType::f64, pad)}).error < 1e-6);
      CHECK(autograd::gradcheck(ce, {randn(shape, 2, DType::f64, pad)}).error < 1e-6);
    }
  }
}

TEST_CASE("losses: f32 is near f64 for every instruction set, also for huge logits") {
  for (Isa isa : isas())
    for (const Shape& shape : {Shape{3, 1, 37, 41, 1}, Shape{2, 5, 6, 7, 3}, Shape{1, 8, 9, 10, 14}})
      for (int64_t pad : {0, 3})
        for (double scale : {1.0, 200.0}) {
          Context context(with_isa(isa));
          const Context::Scope scope(context);
          CAPTURE(name_of(isa));
          CAPTURE(shape);
          CAPTURE(scale);
          for (const auto& run : {bce_dice, dice_ce}) {
            const auto [loss, gradient] = run(shape, DType::f32, pad, scale);
            const auto [want_loss, want_gradient] = run(shape, DType::f64, pad, scale);
            CHECK(max_difference(loss, want_loss) < 1e-6 * std::max(1.0, max_magnitude(want_loss)));
            CHECK(max_difference(gradient, want_gradient) <= 2e-6 * max_magnitude(want_gradient));
          }
        }
}

TEST_CASE("losses: the same bits for any number of threads") {
  for (const auto& run : {bce_dice, dice_ce}) {
    std::vector<std::pair<Tensor, Tensor>> results;
    for (int threads : {1, 2, 3}) {
      Context context(with_threads(threads));
      const Context::Scope scope(context);
      results.push_back(run({2, 3, 65, 66, 4}, DType::f32, 0, 1));
    }
    for (const auto& [loss, gradient] : results) {
      CHECK(max_difference(loss, results[0].first) == 0);
      CHECK(max_difference(gradient, results[0].second) == 0);
    }
  }
}

TEST_CASE("losses: wrong shapes and labels throw and name the argument") {
  for (const int64_t label : {int64_t{-1}, int64_t{2}, int64_t{4'000'000'000'000'000}}) {
    const Tensor logits = Tensor::zeros({1, 1, 4, 4, 2}), labels = Tensor::zeros({1, 1, 4, 4}, DType::i64);
    labels.data<int64_t>()[3] = label;
    CHECK(error_of([&] {
            kernels::dice_ce_loss_backward(logits, labels, Tensor::zeros({1, 2, 2}, DType::f64), Tensor::zeros({1}),
                                           Tensor::zeros({1, 1, 4, 4, 2}));
          }) == text("[dice_ce_loss] labels: expected 0 to 1, got ", label));
  }
  const autograd::Variable x(Tensor::zeros({2, 1, 3, 3, 4}));
  CHECK(error_of([&] {
          autograd::bce_dice_loss(x, Tensor::zeros({2, 1, 3, 3, 1}));
        }) == "[bce_dice_loss] target: expected [2, 1, 3, 3, 4], got [2, 1, 3, 3, 1]");
  CHECK(error_of([&] {
          autograd::dice_ce_loss(x, Tensor::zeros({2, 1, 3, 3}));
        }) == "[dice_ce_loss] labels: expected i64, got f32");
  CHECK(error_of([&] {
          autograd::dice_ce_loss(x, Tensor::full({2, 1, 3, 3}, 4, DType::i64));
        }) == "[dice_ce_loss] labels: expected 0 to 3, got 4");
  const autograd::Variable none(Tensor::zeros({0, 1, 3, 3, 4}));
  CHECK(error_of([&] {
          autograd::bce_dice_loss(none, Tensor::zeros({0, 1, 3, 3, 4}));
        }) == "[bce_dice_loss] logits: expected at least one element, got [0, 1, 3, 3, 4]");
}
