#include "kernels/optimizer/optimizer.h"

#include <cmath>

#include "kernels/optimizer/reference.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

TEST_CASE("sgd_step: two steps by hand, velocity from 0") {
  const Tensor w = Tensor::full({1}, 2, DType::f64), v = Tensor::zeros({1}, DType::f64),
               g = Tensor::full({1}, 3, DType::f64);
  const kernels::Sgd options{.rate = 0.1, .momentum = 0.9, .weight_decay = 0.01};
  kernels::sgd_step(options, g, w, v);
  const double v1 = 3 + 0.01 * 2, w1 = 2 - 0.1 * v1;
  CHECK(w.data<double>()[0] == doctest::Approx(w1).epsilon(1e-15));
  kernels::sgd_step(options, g, w, v);
  const double v2 = 0.9 * v1 + 3 + 0.01 * w1;
  CHECK(v.data<double>()[0] == doctest::Approx(v2).epsilon(1e-15));
  CHECK(w.data<double>()[0] == doctest::Approx(w1 - 0.1 * v2).epsilon(1e-15));
}

TEST_CASE("adamw_step: two steps by hand, moments from 0, decay decoupled") {
  const Tensor w = Tensor::full({1}, 2, DType::f64), m = Tensor::zeros({1}, DType::f64),
               s = Tensor::zeros({1}, DType::f64);
  const kernels::AdamW options{.rate = 0.1, .weight_decay = 0.01};
  double want = 2, mean = 0, square = 0;
  for (int step : {1, 2}) {
    const double g = 3 - step;
    kernels::adamw_step(options, step, Tensor::full({1}, g, DType::f64), w, m, s);
    mean = 0.9 * mean + 0.1 * g;
    square = 0.999 * square + 0.001 * g * g;
    want = want * (1 - 0.1 * 0.01) -
           0.1 * (mean / (1 - std::pow(0.9, step))) / (std::sqrt(square / (1 - std::pow(0.999, step))) + 1e-8);
    CHECK(w.data<double>()[0] == doctest::Approx(want).epsilon(1e-14));
  }
}

TEST_CASE("optimizer: every implementation equals the reference bit for bit at SIMD edge sizes") {
  for (const auto& impl : kernels::optimizer_impls())
    for (int64_t n : simd_edge_sizes(129)) {
      if (!supported(impl.isa)) continue;
      CAPTURE(impl.name);
      CAPTURE(n);
      const auto g = normals(n, 1);
      auto w = normals(n, 2), v = normals(n, 3), want_w = w, want_v = v;
      impl.sgd(n, {0.1f, 0.9f, 0.01f}, g.data(), w.data(), v.data());
      kernels::sgd_step_reference<float>(n, {0.1f, 0.9f, 0.01f}, g.data(), want_w.data(), want_v.data());
      CHECK(w == want_w);
      CHECK(v == want_v);
      std::vector<float> s(w.size(), 0.5f), want_s = s;
      const kernels::AdamWFactors<float> f{0.999f, 0.1f, 0.999f, 0.001f, 0.01f, 0.03f, 1e-8f};
      impl.adamw(n, f, g.data(), w.data(), v.data(), s.data());
      kernels::adamw_step_reference<float>(n, f, g.data(), want_w.data(), want_v.data(), want_s.data());
      CHECK(w == want_w);
      CHECK(v == want_v);
      CHECK(s == want_s);
    }
}

TEST_CASE("optimizer: the same bits for any number of threads") {
  std::vector<Tensor> weights;
  for (int threads : {1, 2, 3}) {
    Context context(with_threads(threads));
    const Context::Scope scope(context);
    const Tensor w = randn({300, 301}, 1, DType::f32), g = randn({300, 301}, 2, DType::f32);
    const Tensor v = Tensor::zeros({300, 301}), s = Tensor::zeros({300, 301});
    kernels::sgd_step({.rate = 0.1}, g, w, v);
    kernels::adamw_step({.rate = 0.1}, 1, g, w, v, s);
    weights.push_back(w);
  }
  for (const Tensor& w : weights) CHECK(max_difference(w, weights[0]) == 0);
}

TEST_CASE("optimizer: wrong arguments throw and are named; no elements are fine") {
  const Tensor w = Tensor::zeros({2, 3}), other = Tensor::zeros({3, 2});
  CHECK(error_of([&] { kernels::sgd_step({.rate = 1}, other, w, w); }) ==
        "[sgd_step] gradient: expected [2, 3], got [3, 2]");
  CHECK(error_of([&] { kernels::adamw_step({.rate = 1}, 0, w, w, w, w); }) ==
        "[adamw_step] step: expected at least 1, got 0");
  CHECK(error_of([&] {
          kernels::sgd_step({.rate = 1}, padded({2, 3}, DType::f32, 1), w, w);
        }).starts_with("[sgd_step] gradient: expected a dense tensor"));
  const Tensor none = Tensor::zeros({0});
  kernels::sgd_step({.rate = 1}, none, none, none);
}
