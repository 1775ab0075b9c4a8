#include "kernels/depthwise/depthwise.h"

#include <cmath>

#include "autograd/gradcheck.h"
#include "autograd/ops.h"
#include "kernels/depthwise/reference.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

namespace {

struct Case {
  int64_t n, d, h, w, c;
  bool volume;
  int64_t k;
};

Shape weight_shape(const Case& s) { return s.volume ? Shape{s.c, 1, s.k, s.k, s.k} : Shape{s.c, 1, s.k, s.k}; }

struct Result {
  Tensor y, dx, dweight, dbias;
};

// All passes under a context of that ISA and that many threads.
Result run(Isa isa, int threads, DType dtype, const Case& s, int64_t pad, const Tensor& x, const Tensor& weight,
           const Tensor& bias, const Tensor& dy) {
  Context context({.threads = threads, .isa = isa, .memory_limit = 0, .log = {}, .executor = {}});
  const Context::Scope scope(context);
  const Shape shape{s.n, s.d, s.h, s.w, s.c};
  Result r{padded(shape, dtype, pad), padded(shape, dtype, pad), Tensor::empty(weight.shape(), dtype),
           Tensor::empty({s.c}, dtype)};
  kernels::depthwise_forward(x, weight, bias, r.y);
  kernels::depthwise_data_gradient(dy, weight, r.dx);
  kernels::depthwise_weight_gradient(x, dy, r.dweight, r.dbias);
  CHECK(padding_intact(r.y, pad));
  CHECK(padding_intact(r.dx, pad));
  return r;
}

const Case cases[] = {{1, 1, 5, 7, 32, false, 3}, {2, 3, 4, 5, 17, true, 3},    {1, 2, 3, 9, 8, false, 3},
                      {2, 1, 1, 1, 1, false, 3},  {1, 1, 2, 1, 5, true, 3},     {2, 1, 6, 2, 33, false, 1},
                      {1, 3, 2, 5, 16, true, 1},  {1, 1, 6, 6, 3, false, 5},    {1, 5, 1, 8, 20, true, 3},
                      {0, 1, 4, 4, 8, false, 3},  {2, 1, 32, 32, 32, false, 3}, {1, 12, 12, 12, 16, true, 3}};

}  // namespace

TEST_CASE("depthwise: every implementation equals the reference on small integers, exactly") {
  // isas() below picks every row of the lists.
  CHECK(one_row_per_isa(kernels::depthwise_forward_impls()));
  CHECK(one_row_per_isa(kernels::depthwise_weight_gradient_impls()));
  for (const Case& s : cases)
    for (int64_t c : s.w == 7 ? simd_edge_sizes(65) : std::vector<int64_t>{s.c})
      for (int64_t pad : {0, 3})
        for (Isa isa : isas()) {
          Case e = s;
          e.c = c;
          const Shape shape{e.n, e.d, e.h, e.w, e.c};
          CAPTURE(shape);
          CAPTURE(name_of(isa));
          const Tensor x = integers(shape, 1, DType::f32, pad), dy = integers(shape, 2, DType::f32, 2 * pad);
          const Tensor weight = integers(weight_shape(e), 3), bias = integers({c}, 4);
          const Result got = run(isa, 1, DType::f32, e, pad, x, weight, bias, dy);
          const Result want = run(Isa::reference, 1, DType::f32, e, 0, x, weight, bias, dy);
          CHECK(max_difference(got.y, want.y) == 0);
          CHECK(max_difference(got.dx, want.dx) == 0);
          CHECK(max_difference(got.dweight, want.dweight) == 0);
          CHECK(max_difference(got.dbias, want.dbias) == 0);
        }
}

TEST_CASE("depthwise: every implementation is near the reference in double on random numbers") {
  for (const Case& s : cases)
    for (Isa isa : isas()) {
      if (s.n == 0) continue;
      const Shape shape{s.n, s.d, s.h, s.w, s.c};
      CAPTURE(shape);
      CAPTURE(name_of(isa));
      const Tensor x = randn(shape, 1, DType::f32), dy = randn(shape, 2, DType::f32);
      const Tensor weight = randn(weight_shape(s), 3, DType::f32), bias = randn({s.c}, 4, DType::f32);
      const Result got = run(isa, 1, DType::f32, s, 0, x, weight, bias, dy);
      const Result want = run(isa, 1, DType::f64, s, 0, x.to(DType::f64), weight.to(DType::f64), bias.to(DType::f64),
                              dy.to(DType::f64));
      const double taps = static_cast<double>(s.k * s.k * (s.volume ? s.k : 1)), pixels = static_cast<double>(x.rows());
      const double unit = 6e-8 * max_magnitude(x);
      CHECK(max_difference(got.y, want.y) <= unit * (taps + 1) * max_magnitude(weight));
      CHECK(max_difference(got.dx, want.dx) <= unit * (taps + 1) * max_magnitude(weight) * 2);
      CHECK(max_difference(got.dweight, want.dweight) <= unit * pixels * max_magnitude(dy));
      CHECK(max_difference(got.dbias, want.dbias) <= 6e-8 * pixels * max_magnitude(dy));
    }
}

TEST_CASE("depthwise: the same bits for any number of threads") {
  for (const Case& s : {cases[10], cases[11]})
    for (Isa isa : isas()) {
      const Shape shape{s.n, s.d, s.h, s.w, s.c};
      const Tensor x = randn(shape, 1, DType::f32), dy = randn(shape, 2, DType::f32);
      const Tensor weight = randn(weight_shape(s), 3, DType::f32), bias = randn({s.c}, 4, DType::f32);
      const Result one = run(isa, 1, DType::f32, s, 0, x, weight, bias, dy);
      for (int threads : {2, 3}) {
        const Result many = run(isa, threads, DType::f32, s, 0, x, weight, bias, dy);
        CHECK(max_difference(one.y, many.y) == 0);
        CHECK(max_difference(one.dx, many.dx) == 0);
        CHECK(max_difference(one.dweight, many.dweight) == 0);
        CHECK(max_difference(one.dbias, many.dbias) == 0);
      }
    }
}

TEST_CASE("depthwise: gradients match central differences in double, 2D and 3D, k = 1 and 3, with and without bias") {
  const auto f = [](auto& v) { return autograd::depthwise(v[0], v[1], v.size() > 2 ? v[2] : autograd::Variable()); };
  for (const Case& s : {Case{2, 1, 4, 3, 5, false, 3}, Case{1, 3, 2, 4, 3, true, 3}, Case{2, 1, 2, 2, 4, false, 1}}) {
    const Tensor x = randn({s.n, s.d, s.h, s.w, s.c}, 1, DType::f64, 2), weight = randn(weight_shape(s), 2);
    CHECK(autograd::gradcheck(f, {x, weight, randn({s.c}, 3)}).error < 1e-7);
    CHECK(autograd::gradcheck(f, {x, weight}).error < 1e-7);
  }
}

TEST_CASE("depthwise: a gradient of y that is a slice of channels is read by its stride") {
  const auto f = [](auto& v) {
    const autograd::Variable y = autograd::depthwise(v[0], v[1], {});
    return autograd::add(y, y);
  };
  CHECK(autograd::gradcheck(f, {randn({1, 1, 3, 3, 2}, 1, DType::f64, 1), randn({2, 1, 3, 3}, 2)}).error < 1e-7);
}

TEST_CASE("depthwise: wrong shapes throw and name the argument") {
  const Tensor x = Tensor::zeros({1, 1, 4, 4, 8}), w = Tensor::zeros({8, 1, 3, 3});
  CHECK(error_of([&] {
          kernels::depthwise_forward(x, Tensor::zeros({8, 1, 2, 3}), {}, x.clone());
        }) == "[depthwise] weight: expected [8, 1, k, k] or [8, 1, k, k, k] with odd k, got [8, 1, 2, 3]");
  CHECK(error_of([&] { kernels::depthwise_forward(x, w, Tensor::zeros({4}), x.clone()); }) ==
        "[depthwise] bias: expected [8], got [4]");
  CHECK(error_of([&] {
          kernels::depthwise_forward(x, w, {}, Tensor::zeros({1, 1, 4, 4, 4}));
        }) == "[depthwise] y: expected [1, 1, 4, 4, 8], got [1, 1, 4, 4, 4]");
  CHECK(error_of([&] {
          kernels::depthwise_data_gradient(x, w, Tensor::zeros({1, 1, 4, 4, 4}));
        }) == "[depthwise] dx: expected [1, 1, 4, 4, 8], got [1, 1, 4, 4, 4]");
  CHECK(error_of([&] {
          kernels::depthwise_forward(Tensor::zeros({4, 8}), w, {}, x.clone());
        }) == "[depthwise] x: expected [N, D, H, W, C], got [4, 8]");
  CHECK(error_of([&] { kernels::depthwise_forward(x, w.to(DType::f64), {}, x.clone()); }) ==
        "[depthwise] weight: expected f32, got f64");
}
