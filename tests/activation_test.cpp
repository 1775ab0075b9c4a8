#include "kernels/activation/activation.h"

#include <cmath>

#include "autograd/gradcheck.h"
#include "autograd/ops.h"
#include "kernels/activation/reference.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;
using kernels::Activation;

namespace {

constexpr Activation kinds[] = {Activation::none, Activation::relu, Activation::silu, Activation::gelu};

// Numbers from the middle and far tails of every activation.
std::vector<float> sweep(int64_t n) {
  std::vector<float> x(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    const double t = 2.0 * static_cast<double>(i) / static_cast<double>(std::max<int64_t>(n - 1, 1)) - 1;
    x[static_cast<size_t>(i)] = static_cast<float>(12 * t * std::abs(t));
  }
  return x;
}

}  // namespace

TEST_CASE("activation: every implementation is within 4e-7 of the formula in double, relative to max(1, |x|)") {
  const auto x = sweep(200001);
  const int64_t n = static_cast<int64_t>(x.size());
  const std::vector<float> ones(x.size(), 1.f);
  for (const auto& impl : kernels::activation_impls())
    for (Activation kind : kinds) {
      if (!supported(impl.isa)) continue;
      std::vector<float> y(x.size()), dx(x.size());
      const kernels::ActivationDims d{1, n, n, n, n, kind};
      impl.forward(d, x.data(), y.data());
      impl.backward(d, x.data(), ones.data(), dx.data());
      double worst = 0, worst_derivative = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const double v = x[i], scale = std::max(1.0, std::abs(v));
        worst = std::max(worst, std::abs(y[i] - kernels::activate(kind, v)) / scale);
        worst_derivative = std::max(worst_derivative, std::abs(dx[i] - kernels::activation_derivative(kind, v)));
      }
      CAPTURE(impl.name);
      CAPTURE(name_of(kind));
      CHECK(worst < 4e-7);
      CHECK(worst_derivative < 1e-6);
    }
}

TEST_CASE("activation: extreme inputs stay finite, keep their limits; NaN stays NaN") {
  const std::vector<float> x{-INFINITY, -3e38f, -1e4f,    -104.f, -88.f, 88.f, 104.f,
                             1e4f,      3e38f,  INFINITY, NAN,    0.f,   -0.f, 1e-40f};
  const int64_t n = static_cast<int64_t>(x.size());
  const std::vector<float> ones(x.size(), 1.f);
  for (const auto& impl : kernels::activation_impls())
    for (Activation kind : {Activation::relu, Activation::silu, Activation::gelu}) {
      if (!supported(impl.isa)) continue;
      CAPTURE(impl.name);
      CAPTURE(name_of(kind));
      std::vector<float> y(x.size()), dx(x.size());
      const kernels::ActivationDims d{1, n, n, n, n, kind};
      impl.forward(d, x.data(), y.data());
      impl.backward(d, x.data(), ones.data(), dx.data());
      for (size_t i = 1; i < x.size(); ++i) {
        CAPTURE(x[i]);
        if (std::isnan(x[i])) {
          CHECK(std::isnan(y[i]));
          continue;
        }
        if (x[i] <= -88) CHECK(std::abs(y[i]) < 1e-30f);
        if (x[i] >= 88) CHECK(y[i] == x[i]);
        if (std::abs(x[i]) >= 88 && std::isfinite(x[i])) CHECK(std::abs(dx[i] - (x[i] > 0)) < 1e-30f);
      }
    }
}

TEST_CASE("activation: every implementation gives the same bits at every size, stride and place in a row") {
  for (const auto& impl : kernels::activation_impls())
    for (Activation kind : kinds)
      for (int64_t c : simd_edge_sizes(129)) {
        if (!supported(impl.isa)) continue;
        const int64_t ld = c + 3;
        const auto x = normals(3 * ld, 1), dy = normals(3 * ld, 2);
        std::vector<float> y(x.size(), 7.f), dx(y), one_y(y), one_dx(y);
        impl.forward({3, c, ld, ld, ld, kind}, x.data(), y.data());
        impl.backward({3, c, ld, ld, ld, kind}, x.data(), dy.data(), dx.data());
        for (int64_t r = 0; r < 3; ++r)
          for (int64_t i = r * ld; i < r * ld + c; ++i) {
            impl.forward({1, 1, 1, 1, 1, kind}, &x[i], &one_y[i]);
            impl.backward({1, 1, 1, 1, 1, kind}, &x[i], &dy[i], &one_dx[i]);
          }
        CAPTURE(impl.name);
        CAPTURE(name_of(kind));
        CAPTURE(c);
        CHECK(y == one_y);
        CHECK(dx == one_dx);
      }
}

TEST_CASE("activation: tensors of any strides, in place too; the same bits for any number of threads") {
  const Shape shape{2, 3, 33, 35, 5};
  for (int64_t pad : {0, 3})
    for (Activation kind : kinds) {
      std::vector<Tensor> results;
      for (int threads : {1, 2, 3}) {
        Context context(with_threads(threads));
        const Context::Scope scope(context);
        const Tensor x = randn(shape, 1, DType::f32, pad), dy = randn(shape, 2, DType::f32, pad);
        const Tensor y = padded(shape, DType::f32, pad), dx = padded(shape, DType::f32, pad);
        kernels::activation_forward(x, kind, y);
        kernels::activation_backward(x, dy, kind, dx);
        CHECK(padding_intact(y, pad));
        CHECK(padding_intact(dx, pad));
        kernels::activation_backward(x, dy, kind, dy);
        CHECK(max_difference(dx, dy) == 0);
        kernels::activation_forward(x, kind, x);
        CHECK(max_difference(x, y) == 0);
        results.push_back(y.clone());
        results.push_back(dx.clone());
      }
      for (size_t i = 2; i < results.size(); ++i) CHECK(max_difference(results[i], results[i % 2]) == 0);
    }
}

TEST_CASE("activation: gradient matches central differences in double") {
  for (Activation kind : kinds) {
    const auto f = [kind](auto& v) { return autograd::activation(v[0], kind); };
    CHECK(autograd::gradcheck(f, {randn({2, 1, 3, 3, 5}, 1, DType::f64, 3)}).error < 1e-6);
    CHECK(autograd::gradcheck(f, {randn({1, 3, 3, 2, 4}, 2)}).error < 1e-6);
  }
}

TEST_CASE("activation: wrong shapes throw and name the argument; no rows are fine") {
  CHECK(error_of([] {
          kernels::activation_forward(Tensor::zeros({2, 3}), Activation::relu, Tensor::zeros({2, 4}));
        }) == "[activation] y: expected [2, 3], got [2, 4]");
  CHECK(error_of([] {
          kernels::activation_backward(Tensor::zeros({2, 3}), Tensor::zeros({3, 2}), Activation::relu,
                                       Tensor::zeros({2, 3}));
        }) == "[activation] dy: expected [2, 3], got [3, 2]");
  kernels::activation_forward(Tensor::zeros({0, 3}), Activation::gelu, Tensor::zeros({0, 3}));
}
