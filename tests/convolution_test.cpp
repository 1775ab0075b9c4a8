#include "kernels/convolution/convolution.h"

#include <cmath>
#include <string>
#include <string_view>

#include "autograd/gradcheck.h"
#include "autograd/ops.h"
#include "kernels/activation/activation.h"
#include "kernels/add/add.h"
#include "kernels/channel_norm/channel_norm.h"
#include "kernels/convolution/pointwise_pair.h"
#include "kernels/convolution/reference.h"
#include "tests/support/moments.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;
using kernels::ConvolutionDims;

namespace {

// The formula of dims.h, as directly as it can be written.
Tensor by_definition(const Tensor& x, const Tensor& weight, const Tensor& bias, int64_t groups) {
  const Shape &s = x.shape(), &k = weight.shape();
  const int64_t kd = k.rank() == 5 ? k[2] : 1, kh = k.rank() == 2 ? 1 : k[-2], kw = k.rank() == 2 ? 1 : k[-1];
  Tensor y = Tensor::empty(s.with_channels(k[0]), DType::f64);
  const auto at = [&](int64_t n, int64_t z, int64_t h, int64_t w, int64_t c) {
    if (z < 0 || h < 0 || w < 0 || z >= s[1] || h >= s[2] || w >= s[3]) return 0.0;
    return x.data<double>()[(((n * s[1] + z) * s[2] + h) * s[3] + w) * x.row_stride() + c];
  };
  int64_t element = 0;
  for (int64_t n = 0; n < s[0]; ++n)
    for (int64_t z = 0; z < s[1]; ++z)
      for (int64_t h = 0; h < s[2]; ++h)
        for (int64_t w = 0; w < s[3]; ++w)
          for (int64_t o = 0; o < k[0]; ++o, ++element) {
            double sum = bias.defined() ? bias.data<double>()[o] : 0;
            for (int64_t i = 0; i < k[1]; ++i)
              for (int64_t t = 0; t < kd * kh * kw; ++t)
                sum += weight.data<double>()[(o * k[1] + i) * kd * kh * kw + t] *
                       at(n, z + t / (kh * kw) - kd / 2, h + t / kw % kh - kh / 2, w + t % kw - kw / 2,
                          o / (k[0] / groups) * k[1] + i);
            y.data<double>()[element] = sum;
          }
  return y;
}

struct Case {
  Shape x;
  int64_t cout, groups, kd, k;
};

// Odd sizes, single rows, columns and channels, tails of every vector width, groups, 2D and 3D.
std::vector<Case> cases() {
  std::vector<Case> all{
      {{2, 1, 5, 7, 3}, 16, 1, 1, 3},    {{1, 1, 6, 1, 16}, 4, 1, 1, 3},   {{1, 1, 1, 9, 4}, 16, 1, 1, 3},
      {{2, 1, 13, 19, 16}, 16, 1, 1, 3}, {{1, 1, 9, 31, 12}, 20, 2, 1, 3}, {{1, 1, 17, 33, 32}, 32, 2, 1, 3},
      {{1, 1, 8, 8, 64}, 48, 1, 1, 3},   {{1, 1, 7, 30, 33}, 65, 1, 1, 3}, {{1, 1, 9, 10, 200}, 40, 1, 1, 3},
      {{1, 3, 4, 5, 140}, 56, 1, 3, 3},  {{2, 3, 4, 5, 6}, 10, 2, 3, 3},   {{1, 1, 5, 5, 16}, 16, 1, 3, 3},
      {{1, 5, 6, 7, 16}, 24, 1, 3, 3},   {{1, 4, 9, 10, 32}, 32, 2, 3, 3}, {{1, 2, 8, 8, 24}, 16, 1, 1, 3},
      {{1, 1, 9, 8, 3}, 5, 1, 1, 5}};
  for (int64_t cin : {1, 3, 4, 16, 17, 48, 128})
    for (int64_t cout : {1, 4, 8, 16, 24, 33, 64, 100}) all.push_back({{1, 1, 3, 11, cin}, cout, 1, 1, 1});
  all.push_back({{2, 3, 4, 17, 32}, 64, 4, 1, 1});
  for (int64_t c : simd_edge_sizes(49)) all.push_back({{1, 1, 6, 9, c}, c, 1, 1, 3});
  return all;
}

Shape weight_shape(const Case& c) {
  const int64_t cin = c.x[4] / c.groups;
  return c.kd > 1 ? Shape{c.cout, cin, c.kd, c.k, c.k} : Shape{c.cout, cin, c.k, c.k};
}

ConvolutionDims dims_of(const Case& c, const Tensor& x, const Tensor& y) {
  return {c.x[0], c.x[1], c.x[2], c.x[3], c.x[4], c.cout, c.groups, c.kd, c.k, c.k, x.row_stride(), y.row_stride()};
}

bool exact(const kernels::ConvolutionImpl<float>& impl) { return !std::string_view(impl.name).starts_with("winograd"); }

// eps * terms, for values of magnitude 1. Winograd's F(4,3) adds up terms of both signs that are up to
// max over rows i of sum over k of |A_ik| ||G_k|| ||B_k|| (1-norms) = 23.7 times as large in each direction, for three
// taps.
double rounding(const kernels::ConvolutionImpl<float>& impl, int64_t terms) {
  return 6e-8 * static_cast<double>(terms) * (exact(impl) ? 1 : (23.7 / 3) * (23.7 / 3));
}

// Runs one implementation on f32 tensors with strides wider than the rows. turned: the data gradient of the convolution
// from cout to cin channels that has this weight.
Tensor run(const kernels::ConvolutionImpl<float>& impl, const Case& c, const Tensor& x, const Tensor& weight,
           const Tensor& bias, bool turned) {
  const Tensor y = padded(c.x.with_channels(c.cout), DType::f32, 5);
  ConvolutionDims d = dims_of(c, x, y), forward = d;
  std::swap(forward.cin, forward.cout);
  kernels::pack_and_run<float>(kernels::prepare(d, impl, Context::current()), x.data<float>(),
                               turned ? kernels::turned_weights<float>(forward, weight.data<float>())
                                      : kernels::forward_weights<float>(d, weight.data<float>()),
                               {.epilogue = {.bias = {bias.defined() ? bias.data<float>() : nullptr}}},
                               y.data<float>());
  CHECK(padding_intact(y, 5));
  return y;
}

Tensor tables_of(const Tensor& mean, const Tensor& rstd, const Tensor& gamma, const Tensor& beta) {
  const int64_t m = mean.shape()[0], c = gamma.numel();
  Tensor tables = Tensor::empty({m, 3, c});
  kernels::norm_tables(mean.data<double>(), rstd.data<double>(), gamma.data<float>(), beta.data<float>(), m, c,
                       tables.data<float>());
  return tables;
}

// [Cout, Cin/g, k...] -> [Cin, Cout/g, k...], taps mirrored, as a dense tensor.
Tensor turn(const Tensor& weight, int64_t groups) {
  const Shape& s = weight.shape();
  const int64_t cout = s[0] / groups, cin = s[1], taps = weight.numel() / (s[0] * s[1]);
  const Shape turned =
      s.rank() == 5 ? Shape{groups * cin, cout, s[2], s[3], s[4]} : Shape{groups * cin, cout, s[2], s[3]};
  Tensor result = Tensor::empty(turned, DType::f32);
  for (int64_t g = 0; g < groups; ++g)
    for (int64_t o = 0; o < cout; ++o)
      for (int64_t i = 0; i < cin; ++i)
        for (int64_t t = 0; t < taps; ++t)
          result.data<float>()[((g * cin + i) * cout + o) * taps + taps - 1 - t] =
              weight.data<float>()[((g * cout + o) * cin + i) * taps + t];
  return result;
}

}  // namespace

TEST_CASE(
    "convolution: every implementation equals the definition on small integers, forward and turned, any strides") {
  for (const Case& c : cases()) {
    const Tensor x = integers(c.x, 1, DType::f32, 3), w = integers(weight_shape(c), 2), b = integers({c.cout}, 3);
    const Tensor want = by_definition(x.to(DType::f64), w.to(DType::f64), b.to(DType::f64), c.groups);
    const Tensor want_plain = by_definition(x.to(DType::f64), w.to(DType::f64), {}, c.groups);
    for (const auto& impl : kernels::convolution_impls()) {
      const ConvolutionDims d = dims_of(c, x, x);
      if (!supported(impl.isa) || !impl.accepts(d)) continue;
      CAPTURE(std::string(impl.name));
      CAPTURE(c.x);
      CAPTURE(w.shape());
      const double bound = exact(impl) ? 0 : rounding(impl, w.numel() / c.cout) * 4 * 4;
      CHECK(max_difference(run(impl, c, x, w, b, false), want) <= bound);
      CHECK(max_difference(run(impl, c, x, turn(w, c.groups), {}, true), want_plain) <= bound);
    }
  }
}

TEST_CASE("convolution: every implementation is within eps * terms * max|x| max|w| of the reference in double") {
  for (const Case& c : cases()) {
    const Tensor x = randn(c.x, 4, DType::f32), w = randn(weight_shape(c), 5, DType::f32),
                 b = randn({c.cout}, 6, DType::f32);
    const Tensor want = by_definition(x.to(DType::f64), w.to(DType::f64), b.to(DType::f64), c.groups);
    for (const auto& impl : kernels::convolution_impls()) {
      if (!supported(impl.isa) || !impl.accepts(dims_of(c, x, x))) continue;
      CAPTURE(std::string(impl.name));
      CAPTURE(c.x);
      CAPTURE(w.shape());
      CHECK(max_difference(run(impl, c, x, w, b, false), want) <=
            rounding(impl, w.numel() / c.cout + 1) * max_magnitude(x) * max_magnitude(w));
    }
  }
}

TEST_CASE(
    "convolution: relative L2 error over 128 channels stays below 3e-7, of one long sum or Winograd's below 9e-7") {
  const Case c{{1, 1, 24, 20, 128}, 32, 1, 1, 3};
  const Tensor x = randn(c.x, 9, DType::f32), w = randn(weight_shape(c), 10, DType::f32);
  const Tensor want = by_definition(x.to(DType::f64), w.to(DType::f64), {}, 1);
  for (const auto& impl : kernels::convolution_impls()) {
    if (!supported(impl.isa) || !impl.accepts(dims_of(c, x, x))) continue;
    CAPTURE(std::string(impl.name));
    const Tensor y = run(impl, c, x, w, {}, false).to(DType::f64);
    double error = 0, norm = 0;
    for (int64_t i = 0; i < y.numel(); ++i) {
      const double v = want.span<double>()[i], e = y.span<double>()[i] - v;
      error += e * e;
      norm += v * v;
    }
    CHECK(std::sqrt(error / norm) < (exact(impl) && impl.isa != Isa::reference ? 3e-7 : 9e-7));
  }
}

TEST_CASE("convolution: an epilogue is what its parts do one after the other, bit by bit, in every row") {
  using kernels::Activation;
  struct Parts {
    Activation before, after;
    bool bias, norm, residual;
  };
  for (const Case& c : {Case{{2, 1, 5, 7, 6}, 8, 2, 1, 3},
                        {{1, 1, 9, 30, 32}, 36, 1, 1, 3},
                        {{1, 3, 4, 9, 16}, 24, 1, 3, 3},
                        {{1, 1, 6, 11, 16}, 50, 1, 1, 1},
                        {{1, 1, 4, 9, 3}, 17, 1, 1, 5}})
    for (const Parts& parts : {Parts{Activation::gelu, Activation::silu, true, true, true},
                               {Activation::none, Activation::relu, false, true, false},
                               {Activation::none, Activation::none, true, false, true}}) {
      const Shape out = c.x.with_channels(c.cout);
      const Tensor x = randn(c.x, 1, DType::f32), w = randn(weight_shape(c), 2, DType::f32);
      const Tensor b = parts.bias ? randn({c.cout}, 3, DType::f32) : Tensor();
      const Tensor residual = randn(out, 4, DType::f32, 3), gamma = randn({c.cout}, 5, DType::f32),
                   beta = randn({c.cout}, 6, DType::f32), mean = randn({1, c.cout}, 7, DType::f64),
                   rstd = Tensor::full({1, c.cout}, 0.75, DType::f64);
      const Tensor tables = tables_of(mean, rstd, gamma, beta);
      kernels::Epilogue<kernels::Strided<float>> e{parts.before, parts.after};
      if (parts.bias) e.bias.data = b.data<float>();
      if (parts.norm) e.norm = {tables.data<float>(), c.cout};
      if (parts.residual) e.residual = {residual.data<float>(), residual.row_stride()};
      for (const Isa isa : isas()) {
        CAPTURE(c.x);
        CAPTURE(name_of(isa));
        Context context({.threads = 2, .isa = isa});
        const Context::Scope scope(context);
        const Tensor y = padded(out, DType::f32, 5), want = Tensor::empty(out);
        const ConvolutionDims d = dims_of(c, x, y);
        kernels::pack_and_run<float>(kernels::prepare(d, kernels::Rounding::transformed, context), x.data<float>(),
                                     kernels::forward_weights<float>(d, w.data<float>()), {.epilogue = e},
                                     y.data<float>());
        CHECK(padding_intact(y, 5));
        kernels::convolution_forward(x, w, b, c.groups, want);
        if (parts.norm)
          kernels::channel_norm_forward(
              want, mean, rstd, gamma, beta,
              {.before = parts.before, .after = parts.after, .residual = parts.residual ? residual : Tensor()}, want);
        else
          kernels::add_forward(want, residual, want);
        CHECK(max_difference(y, want) == 0);
      }
    }
}

TEST_CASE("convolution: 1x1 reads through a norm with the bits of the norm before it, in every row") {
  for (const Case& c : {Case{{3, 2, 9, 31, 24}, 20, 1, 1, 1}, {{2, 1, 5, 7, 18}, 34, 2, 1, 1}}) {
    const Tensor x = randn(c.x, 1, DType::f32, 2), w = randn(weight_shape(c), 2, DType::f32),
                 residual = randn(c.x, 3, DType::f32, 3);
    const int64_t cin = c.x.channels();
    const Tensor gamma = randn({cin}, 4, DType::f32), beta = randn({cin}, 5, DType::f32),
                 mean = randn({c.x[0], cin}, 6, DType::f64), rstd = Tensor::full({c.x[0], cin}, 1.25, DType::f64);
    const Tensor tables = tables_of(mean, rstd, gamma, beta);
    kernels::Fusing<float> fusing;
    fusing.prologue = {.after = kernels::Activation::gelu,
                       .norm = {tables.data<float>(), cin},
                       .residual = {residual.data<float>(), residual.row_stride()}};
    for (const Isa isa : isas()) {
      CAPTURE(c.x);
      CAPTURE(name_of(isa));
      Context context({.threads = 2, .isa = isa});
      const Context::Scope scope(context);
      const Tensor y = padded(c.x.with_channels(c.cout), DType::f32, 5), want = Tensor::empty(y.shape()),
                   z = Tensor::empty(c.x);
      const ConvolutionDims d = dims_of(c, x, y);
      kernels::pack_and_run<float>(kernels::prepare(d, kernels::Rounding::transformed, context), x.data<float>(),
                                   kernels::forward_weights<float>(d, w.data<float>()), fusing, y.data<float>());
      CHECK(padding_intact(y, 5));
      kernels::channel_norm_forward(x, mean, rstd, gamma, beta,
                                    {.after = kernels::Activation::gelu, .residual = residual}, z);
      kernels::convolution_forward(z, w, {}, c.groups, want);
      CHECK(max_difference(y, want) == 0);
    }
  }
}

TEST_CASE("convolution: the moments that a row sums are those of what it stores") {
  for (const Case& c :
       {Case{{2, 5, 9, 14, 16}, 20, 1, 3, 3}, {{2, 3, 6, 11, 6}, 24, 2, 3, 3}, {{2, 7, 8, 9, 16}, 40, 1, 1, 1}}) {
    const Tensor x = randn(c.x, 1, DType::f32), w = randn(weight_shape(c), 2, DType::f32),
                 b = Tensor::full({c.cout}, 100, DType::f32);  // the mean is far from 0
    for (const auto& impl : kernels::convolution_impls()) {
      const Tensor y = Tensor::empty(c.x.with_channels(c.cout));
      const ConvolutionDims d = dims_of(c, x, y);
      if (!supported(impl.isa) || !impl.accepts(d) || impl.provider != Provider::own) continue;
      CAPTURE(std::string(impl.name));
      CAPTURE(c.x);
      Context context({.threads = 3});
      const Context::Scope scope(context);
      const int64_t blocks = impl.blocks(d);
      REQUIRE(blocks > 0);
      const Tensor moments = Tensor::full({d.n, blocks, 3, c.cout}, 1e30);
      kernels::pack_and_run<float>(kernels::prepare(d, impl, context), x.data<float>(),
                                   kernels::forward_weights<float>(d, w.data<float>()),
                                   {.epilogue = {.after = kernels::Activation::silu, .bias = {b.data<float>()}},
                                    .moments = moments.data<float>()},
                                   y.data<float>());
      int64_t pixels = 0;
      for (int64_t i = 0; i < blocks; ++i) pixels += impl.pixels(d, i);
      CHECK(pixels == d.d * d.h * d.w);
      const Statistics got = statistics_of(moments, [&](int64_t i) { return impl.pixels(d, i); });
      const Statistics want_of_y = statistics_of(y);
      CHECK(max_difference(got.mean, want_of_y.mean) < 1e-4);
      CHECK(max_difference(got.variance, want_of_y.variance) < 1e-5 * max_magnitude(want_of_y.variance));
    }
  }
}

TEST_CASE("convolution: a pair of one tap each has the bits of the two one by one") {
  for (const Isa isa : isas())
    for (const Precision precision : {Precision::f32, Precision::bf16_pairs, Precision::bf16_tiles})
      for (const Shape& s : {Shape{2, 3, 7, 11, 20}, Shape{1, 1, 16, 24, 16}, Shape{1, 1, 1, 1, 3}}) {
        if (precision != Precision::f32 && (isa != Isa::avx512 || !supported(precision))) continue;
        CAPTURE(std::string(name_of(isa)));
        CAPTURE(std::string(name_of(precision)));
        CAPTURE(s);
        Context context({.threads = 3, .isa = isa, .precision = precision});
        const Context::Scope scope(context);
        const int64_t between = 37, cout = 18, cin = s.channels();
        const Tensor x = randn(s, 1, DType::f32), w1 = randn({between, cin}, 2, DType::f32),
                     w2 = randn({cout, between}, 3, DType::f32), b1 = randn({between}, 4, DType::f32),
                     b2 = randn({cout}, 5, DType::f32), norm = randn({3, between}, 6, DType::f32),
                     residual = randn(s.with_channels(cout), 7, DType::f32);
        const kernels::Epilogue<kernels::Strided<float>> first{
            kernels::Activation::none, kernels::Activation::gelu, {b1.data<float>()}, {norm.data<float>(), between}},
            second{kernels::Activation::gelu,
                   kernels::Activation::silu,
                   {b2.data<float>()},
                   {},
                   {residual.data<float>(), cout}};
        const Tensor hidden = Tensor::empty(s.with_channels(between)), want = Tensor::empty(s.with_channels(cout)),
                     got = Tensor::empty(want.shape());
        const kernels::PointwisePairDims d{kernels::convolution_dims("test", x, w1, 1, hidden),
                                           kernels::convolution_dims("test", hidden, w2, 1, want)};
        const auto one = [&](const ConvolutionDims& of, const Tensor& from, const Tensor& w, const auto& epilogue,
                             const Tensor& into) {
          kernels::pack_and_run<float>(kernels::prepare(of, kernels::Rounding::bf16, context), from.data<float>(),
                                       kernels::forward_weights<float>(of, w.data<float>()), {.epilogue = epilogue},
                                       into.data<float>());
        };
        one(d.first, x, w1, first, hidden);
        one(d.second, hidden, w2, second, want);
        const kernels::PreparedPointwisePair p = kernels::prepare(d, kernels::Rounding::bf16, context);
        const Tensor packed = Tensor::empty({p.packed_bytes / 4}), scratch = Tensor::empty({p.scratch_bytes / 4});
        kernels::pack(p, w1.data<float>(), w2.data<float>(), packed.data<float>());
        kernels::run(p, x.data<float>(), packed.data<float>(), first, second, got.data<float>(), scratch.data<float>());
        CHECK(max_difference(got, want) == 0);
      }
}

TEST_CASE("convolution: any number of threads gives the same bits") {
  const Tensor x = randn({2, 1, 37, 41, 32}, 7, DType::f32), w = randn({48, 16, 3, 3}, 8, DType::f32);
  for (const Isa isa : isas()) {
    Tensor first;
    for (int threads : {1, 2, 3}) {
      ContextOptions options;
      options.threads = threads;
      options.isa = isa;
      Context context(options);
      const Context::Scope scope(context);
      Tensor y = Tensor::empty(x.shape().with_channels(48)), dx = Tensor::empty(x.shape());
      kernels::convolution_forward(x, w, {}, 2, y);
      kernels::convolution_data_gradient(y, w, 2, dx);
      if (threads == 1) first = dx;
      CHECK(max_difference(dx, first) == 0);
    }
  }
}

TEST_CASE("convolution: gradients match central differences in double") {
  const auto grouped = [](auto& v) { return autograd::convolution(v[0], v[1], v[2], 2); };
  const auto plain = [](auto& v) { return autograd::convolution(v[0], v[1], {}); };
  CHECK(autograd::gradcheck(grouped, {randn({2, 1, 3, 5, 4}, 1, DType::f64, 3), randn({6, 2, 3, 3}, 2), randn({6}, 3)})
            .error < 1e-6);
  CHECK(autograd::gradcheck(plain, {randn({1, 3, 4, 2, 2}, 1), randn({3, 2, 3, 3, 3}, 2)}).error < 1e-6);
  CHECK(autograd::gradcheck(plain, {randn({1, 1, 3, 3, 5}, 1), randn({2, 5, 1, 1}, 2)}).error < 1e-6);
}

TEST_CASE("linear: gradients match central differences in double") {
  const auto f = [](auto& v) { return autograd::linear(v[0], v[1], v[2]); };
  CHECK(autograd::gradcheck(f, {randn({2, 1, 3, 2, 5}, 1, DType::f64, 2), randn({4, 5}, 2), randn({4}, 3)}).error <
        1e-6);
}

TEST_CASE("convolution: a gradient that comes as a slice of a wider tensor is read with its stride") {
  const Tensor dy = randn({1, 1, 4, 6, 5}, 1, DType::f64, 3), w = randn({5, 3, 3, 3}, 2);
  Tensor strided = padded({1, 1, 4, 6, 3}, DType::f64, 2), dense = Tensor::empty({1, 1, 4, 6, 3}, DType::f64);
  kernels::convolution_data_gradient(dy, w, 1, strided);
  kernels::convolution_data_gradient(dy.clone(), w, 1, dense);
  CHECK(max_difference(strided, dense) == 0);
  CHECK(padding_intact(strided, 2));
}

TEST_CASE("convolution: wrong arguments throw and name themselves; no images are fine") {
  const Tensor x = Tensor::zeros({1, 1, 4, 4, 4}), w = Tensor::zeros({6, 2, 3, 3}), y = Tensor::zeros({1, 1, 4, 4, 6});
  const auto forward = [&](const Tensor& x_, const Tensor& w_, const Tensor& b_, int64_t groups, const Tensor& y_) {
    return error_of([&] { kernels::convolution_forward(x_, w_, b_, groups, y_); });
  };
  CHECK(forward(x, w, {}, 2, y) == "");
  CHECK(forward(x, w, {}, 3, y) == "[convolution] groups: expected a divisor of 4, got 3");
  CHECK(forward(x, w, {}, 1, y) ==
        "[convolution] weight: expected dense [Cout, 4, k...], Cout a multiple of 1, got [6, 2, 3, 3]");
  CHECK(forward(x, Tensor::zeros({6, 4, 2, 2}), {}, 1, y) == "[convolution] weight: expected odd k, got [6, 4, 2, 2]");
  CHECK(forward(x, w, Tensor::zeros({4}), 2, y) == "[convolution] bias: expected [6], got [4]");
  CHECK(forward(x, w, {}, 2, x) == "[convolution] y: expected [1, 1, 4, 4, 6], got [1, 1, 4, 4, 4]");
  CHECK(forward(x, w.to(DType::f64), {}, 2, y) == "[convolution] weight: expected f32, got f64");
  CHECK(error_of([&] { kernels::convolution_data_gradient(y, w, 2, y); }) ==
        "[convolution] weight: expected dense [Cout, 3, k...], Cout a multiple of 2, got [6, 2, 3, 3]");
  CHECK(forward(Tensor::zeros({0, 1, 4, 4, 4}), w, {}, 2, Tensor::zeros({0, 1, 4, 4, 6})) == "");
}
