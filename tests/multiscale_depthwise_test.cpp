#include "kernels/multiscale_depthwise/multiscale_depthwise.h"

#include <cmath>

#include "autograd/gradcheck.h"
#include "autograd/ops.h"
#include "kernels/depthwise/depthwise.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

namespace {

struct Case {
  int64_t n, d, h, w, g;
  bool volume;
};

Shape weight_shape(const Case& s, int64_t q) {
  const int64_t k = 3 + 2 * q;
  return s.volume ? Shape{s.g, 1, k, k, k} : Shape{s.g, 1, k, k};
}
Shape shape_of(const Case& s) { return {s.n, s.d, s.h, s.w, 4 * s.g}; }

struct Inputs {
  Tensor x, dy, weights[4], biases[4];
};
struct Result {
  Tensor y, dx, dweights[4], dbiases[4];
};

template <class Make>
Inputs inputs_of(const Case& s, const Make& make) {
  Inputs in{make(shape_of(s), 1), make(shape_of(s), 2), {}, {}};
  for (int64_t q = 0; q < 4; ++q) {
    in.weights[q] = make(weight_shape(s, q), 3 + static_cast<uint64_t>(q)).dense();
    in.biases[q] = make(Shape{s.g}, 7 + static_cast<uint64_t>(q)).dense();
  }
  return in;
}

kernels::Quarters views(const Tensor (&t)[4]) { return {t[0], t[1], t[2], t[3]}; }

// All passes under a context of that ISA and that many threads, in the type of the inputs.
Result run(Isa isa, int threads, const Case& s, int64_t pad, const Inputs& in) {
  Context context({.threads = threads, .isa = isa, .memory_limit = 0, .log = {}, .executor = {}});
  const Context::Scope scope(context);
  const DType dtype = in.x.dtype();
  Result r{padded(shape_of(s), dtype, pad), padded(shape_of(s), dtype, pad), {}, {}};
  for (int64_t q = 0; q < 4; ++q) {
    r.dweights[q] = Tensor::empty(weight_shape(s, q), dtype);
    r.dbiases[q] = Tensor::empty({s.g}, dtype);
  }
  kernels::multiscale_depthwise_forward(in.x, views(in.weights), views(in.biases), true, r.y);
  kernels::multiscale_depthwise_data_gradient(in.dy, views(in.weights), false, r.dx);
  kernels::multiscale_depthwise_weight_gradient(in.x, in.dy, views(r.dweights), views(r.dbiases));
  CHECK(padding_intact(r.y, pad));
  CHECK(padding_intact(r.dx, pad));
  return r;
}

double difference(const Result& a, const Result& b) {
  double worst = std::max(max_difference(a.y, b.y), max_difference(a.dx, b.dx));
  for (int q = 0; q < 4; ++q)
    worst = std::max({worst, max_difference(a.dweights[q], b.dweights[q]), max_difference(a.dbiases[q], b.dbiases[q])});
  return worst;
}

// Odd g, images smaller than a kernel, sizes around vectors and tiles, more than one strip in each direction.
const Case cases[] = {{1, 1, 9, 17, 4, false}, {2, 1, 1, 1, 1, false},   {1, 1, 3, 2, 2, false},
                      {1, 2, 5, 33, 3, false}, {1, 1, 70, 15, 5, false}, {1, 1, 50, 48, 8, false},
                      {1, 3, 4, 5, 2, true},   {2, 1, 2, 3, 1, true},    {1, 9, 26, 18, 4, true},
                      {1, 11, 3, 31, 5, true}, {0, 1, 8, 8, 4, false},   {1, 1, 6, 129, 4, false},
                      {1, 17, 2, 2, 3, true}};

}  // namespace

TEST_CASE("multiscale_depthwise: every implementation equals the reference on small integers, exactly") {
  // isas() below picks every row of the lists.
  CHECK(one_row_per_isa(kernels::multiscale_depthwise_forward_impls()));
  CHECK(one_row_per_isa(kernels::multiscale_depthwise_weight_gradient_impls()));
  for (const Case& s : cases)
    for (int64_t pad : {0, 3}) {
      CAPTURE(shape_of(s));
      const Inputs in = inputs_of(s, [&](const Shape& t, uint64_t seed) { return integers(t, seed, DType::f32, pad); });
      const Result want = run(Isa::reference, 1, s, 0, in);
      for (Isa isa : isas()) {
        CAPTURE(name_of(isa));
        CHECK(difference(run(isa, 1, s, pad, in), want) == 0);
      }
    }
}

TEST_CASE("multiscale_depthwise: every implementation is near the reference in double on random numbers") {
  for (const Case& s : cases) {
    if (s.n == 0) continue;
    CAPTURE(shape_of(s));
    const Inputs in = inputs_of(s, [](const Shape& t, uint64_t seed) { return randn(t, seed, DType::f32); });
    Inputs exact{in.x.to(DType::f64), in.dy.to(DType::f64), {}, {}};
    double weight = 0;
    for (int q = 0; q < 4; ++q) {
      exact.weights[q] = in.weights[q].to(DType::f64);
      exact.biases[q] = in.biases[q].to(DType::f64);
      weight = std::max(weight, max_magnitude(in.weights[q]));
    }
    const Result want = run(Isa::reference, 1, s, 0, exact);
    const double taps = s.volume ? 731 : 83, pixels = static_cast<double>(in.x.rows()) + 1;
    const double unit = 6e-8 * std::max(max_magnitude(in.x), max_magnitude(in.dy));
    for (Isa isa : isas()) {
      CAPTURE(name_of(isa));
      const Result got = run(isa, 1, s, 0, in);
      CHECK(max_difference(got.y, want.y) <= unit * taps * std::max(1.0, weight));
      CHECK(max_difference(got.dx, want.dx) <= unit * taps * std::max(1.0, weight));
      for (int q = 0; q < 4; ++q) {
        CHECK(max_difference(got.dweights[q], want.dweights[q]) <= unit * pixels * max_magnitude(in.dy));
        CHECK(max_difference(got.dbiases[q], want.dbiases[q]) <= unit * pixels);
      }
    }
  }
}

TEST_CASE("multiscale_depthwise: the same bits for any number of threads") {
  for (const Case& s : {Case{2, 1, 100, 40, 5, false}, Case{1, 10, 30, 20, 4, true}}) {
    const Inputs in = inputs_of(s, [](const Shape& t, uint64_t seed) { return randn(t, seed, DType::f32); });
    for (Isa isa : isas()) {
      if (isa == Isa::reference) continue;
      const Result one = run(isa, 1, s, 0, in);
      CHECK(difference(one, run(isa, 2, s, 0, in)) == 0);
      CHECK(difference(one, run(isa, 3, s, 0, in)) == 0);
    }
  }
}

TEST_CASE("multiscale_depthwise: equals four depthwise convolutions side by side, plus x") {
  const Case s{2, 3, 6, 7, 2, true};
  const Inputs in = inputs_of(s, [](const Shape& t, uint64_t seed) { return randn(t, seed); });
  const Result got = run(Isa::reference, 1, s, 0, in);
  const Tensor want = Tensor::empty(shape_of(s), DType::f64), dx = Tensor::empty(shape_of(s), DType::f64);
  for (int64_t q = 0; q < 4; ++q) {
    const int64_t first = q * s.g;
    kernels::depthwise_forward(in.x.slice(first, s.g), in.weights[q], in.biases[q], want.slice(first, s.g));
    kernels::depthwise_data_gradient(in.dy.slice(first, s.g), in.weights[q], dx.slice(first, s.g));
  }
  for (int64_t i = 0; i < want.numel(); ++i) want.data<double>()[i] += in.x.data<double>()[i];
  CHECK(max_difference(got.y, want) < 1e-12);
  CHECK(max_difference(got.dx, dx) < 1e-12);
}

TEST_CASE("multiscale_depthwise: gradients match central differences in double, 2D and 3D, odd widths") {
  for (const Case& s :
       {Case{2, 1, 4, 5, 2, false}, Case{1, 1, 3, 11, 3, false}, Case{1, 3, 4, 2, 1, true}, Case{1, 1, 2, 3, 5, false}})
    for (bool residual : {true, false}) {
      const Inputs in = inputs_of(s, [](const Shape& t, uint64_t seed) { return randn(t, seed, DType::f64, 2); });
      const auto f = [&](auto& v) {
        return autograd::multiscale_depthwise(v[0], {v[1], v[2], v[3], v[4]}, {v[5], v[6], v[7], autograd::Variable()},
                                              residual);
      };
      CHECK(autograd::gradcheck(f, {in.x, in.weights[0], in.weights[1], in.weights[2], in.weights[3], in.biases[0],
                                    in.biases[1], in.biases[2]})
                .error < 1e-6);
    }
}

TEST_CASE("multiscale_depthwise: wrong shapes throw and name the argument") {
  const Case s{1, 1, 4, 4, 2, false};
  const Inputs in = inputs_of(s, [](const Shape& t, uint64_t) { return Tensor::zeros(t); });
  const auto forward = [&](const Tensor& x, const kernels::Quarters& w, const kernels::Quarters& b, const Tensor& y) {
    return error_of([&] { kernels::multiscale_depthwise_forward(x, w, b, true, y); });
  };
  kernels::Quarters w = views(in.weights), b = views(in.biases);
  CHECK(forward(Tensor::zeros({1, 1, 4, 4, 6}), w, b, in.dy) ==
        "[multiscale_depthwise] x: expected a multiple of 4 channels, got [1, 1, 4, 4, 6]");
  CHECK(forward(in.x, w, b, Tensor::zeros({1, 1, 4, 4, 4})) ==
        "[multiscale_depthwise] y: expected [1, 1, 4, 4, 8], got [1, 1, 4, 4, 4]");
  w[2] = in.weights[1];
  CHECK(forward(in.x, w, b, in.dy) == "[multiscale_depthwise] weights[2]: expected [2, 1, 7, 7], got [2, 1, 5, 5]");
  const Tensor one = Tensor::zeros({1});
  b[3] = one;
  CHECK(forward(in.x, views(in.weights), b, in.dy) == "[multiscale_depthwise] biases[3]: expected [2], got [1]");
}
