#include "autograd/gradcheck.h"
#include "autograd/ops.h"
#include "kernels/layer_norm/reference.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

namespace {

constexpr double kEps = 1e-5;

struct Problem {
  Tensor x, gamma, beta, dy;
};

Problem problem(const Shape& shape, int64_t pad, DType dtype = DType::f32) {
  return {randn(shape, 1, dtype, pad), randn({shape.channels()}, 2, dtype), randn({shape.channels()}, 3, dtype),
          randn(shape, 4, dtype, pad)};
}

struct Result {
  Tensor y, dx, dgamma, dbeta;
};

Result in_context(Isa isa, int threads, const Problem& p, int64_t pad) {
  Context context({.threads = threads, .isa = isa});
  const Context::Scope scope(context);
  const Shape& shape = p.x.shape();
  Result r{padded(shape, p.x.dtype(), pad), padded(shape, p.x.dtype(), pad),
           Tensor::empty(p.gamma.shape(), p.x.dtype()), Tensor::empty(p.gamma.shape(), p.x.dtype())};
  kernels::layer_norm_forward(p.x, p.gamma, p.beta, kEps, r.y);
  kernels::layer_norm_backward(p.x, p.gamma, p.dy, kEps, r.dx, r.dgamma, r.dbeta);
  CHECK(padding_intact(r.y, pad));
  CHECK(padding_intact(r.dx, pad));
  return r;
}

}  // namespace

TEST_CASE("layer_norm: every implementation agrees with the reference in double at SIMD edge sizes and strides") {
  for (int64_t c : simd_edge_sizes(129))
    for (int64_t pad : {0, 3}) {
      CAPTURE(c);
      if (c < 3) continue;  // two equal channels magnify rounding without bound: see the next case
      const Problem p = problem({2, 1, 3, 5, c}, pad);
      const Problem exact{p.x.to(DType::f64), p.gamma.to(DType::f64), p.beta.to(DType::f64), p.dy.to(DType::f64)};
      const Result want = in_context(Isa::reference, 1, exact, 0);
      for (Isa isa : isas()) {
        CAPTURE(name_of(isa));
        const Result got = in_context(isa, 1, p, pad);
        const double terms = static_cast<double>(c) + 8, eps = 6e-8;
        CHECK(max_difference(got.y.to(DType::f64), want.y) < eps * terms * (1 + max_magnitude(want.y)));
        CHECK(max_difference(got.dx.to(DType::f64), want.dx) < eps * 8 * terms * (1 + max_magnitude(want.dx)));
        CHECK(max_difference(got.dgamma.to(DType::f64), want.dgamma) <
              eps * (30 + terms) * (1 + max_magnitude(want.dgamma)));
        CHECK(max_difference(got.dbeta.to(DType::f64), want.dbeta) < eps * 30 * (1 + max_magnitude(want.dbeta)));
      }
    }
}

TEST_CASE("layer_norm: a constant row gives beta exactly, also with one channel, and no rows are fine") {
  for (Isa isa : isas())
    for (int64_t c : {1, 2, 16, 48, 96, 97}) {
      CAPTURE(name_of(isa));
      CAPTURE(c);
      Problem p = problem({1, 1, 2, 2, c}, 1);
      p.x.fill(3);
      const Result r = in_context(isa, 1, p, 1);
      for (int64_t row = 0; row < 4; ++row)
        for (int64_t i = 0; i < c; ++i) CHECK(r.y.data<float>()[row * (c + 1) + i] == p.beta.data<float>()[i]);
      const Result none = in_context(isa, 2, problem({0, 1, 2, 2, c}, 0), 0);
      CHECK(max_magnitude(none.dgamma) == 0);
      CHECK(max_magnitude(none.dbeta) == 0);
    }
}

TEST_CASE("layer_norm: a large mean does not drown the variance") {
  for (Isa isa : isas()) {
    CAPTURE(name_of(isa));
    Problem p = problem({1, 1, 4, 4, 96}, 0);
    for (float& v : p.x.span<float>()) v = std::round(v * 64) / 64 + 1024;  // exact in float
    const Problem exact{p.x.to(DType::f64), p.gamma.to(DType::f64), p.beta.to(DType::f64), p.dy.to(DType::f64)};
    const Result got = in_context(isa, 1, p, 0), want = in_context(Isa::reference, 1, exact, 0);
    CHECK(max_difference(got.y.to(DType::f64), want.y) < 1e-3);  // one rounding of the mean is 6e-5
  }
}

TEST_CASE("layer_norm: the same bits for any number of threads") {
  const Problem p = problem({3, 2, 31, 17, 48}, 5);
  for (Isa isa : isas()) {
    const Result one = in_context(isa, 1, p, 0);
    for (int threads : {2, 3}) {
      const Result more = in_context(isa, threads, p, 0);
      CHECK(max_difference(more.y, one.y) == 0);
      CHECK(max_difference(more.dx, one.dx) == 0);
      CHECK(max_difference(more.dgamma, one.dgamma) == 0);
      CHECK(max_difference(more.dbeta, one.dbeta) == 0);
    }
  }
}

TEST_CASE("layer_norm: gradient matches central differences in double") {
  const auto f = [](auto& v) { return autograd::layer_norm(v[0], v[1], v[2]); };
  for (int64_t c : {3, 8, 13}) {
    const Problem p = problem({2, 2, 2, 3, c}, 2, DType::f64);
    CHECK(autograd::gradcheck(f, {p.x, p.gamma, p.beta}).error < 1e-6);
  }
}

TEST_CASE("layer_norm: wrong shapes throw and name the argument") {
  const Tensor x = Tensor::zeros({1, 1, 2, 2, 8}), c = Tensor::zeros({8});
  CHECK(error_of([&] { kernels::layer_norm_forward(x, Tensor::zeros({7}), c, kEps, x); }) ==
        "[layer_norm] gamma: expected [8], got [7]");
  CHECK(error_of([&] { kernels::layer_norm_forward(x, c, Tensor::zeros({8}, DType::f64), kEps, x); }) ==
        "[layer_norm] beta: expected f32, got f64");
  CHECK(error_of([&] { kernels::layer_norm_forward(x, c, c, 0, x); }) ==
        "[layer_norm] eps: expected more than 0, got 0");
  CHECK(error_of([&] {
          kernels::layer_norm_backward(x, c, Tensor::zeros({1, 1, 2, 2, 7}), kEps, x, c, c);
        }) == "[layer_norm] dy: expected [1, 1, 2, 2, 8], got [1, 1, 2, 2, 7]");
}
