// oneDNN's convolutions in the place of ours: rows against double, the whole network and its gradients against
// PyTorch's golden files. Where it is not built in, that this is said.
#include <algorithm>
#include <thread>

#include "kernels/add/add.h"
#include "kernels/channel_norm/channel_norm.h"
#include "kernels/convolution/convolution.h"
#include "kernels/convolution/weight_gradient/weight_gradient.h"
#include "kernels/depthwise/depthwise.h"
#include "lgmsnet/plan.h"
#include "lgmsnet/training/lgmsnet.h"
#include "lgmsnet/training/verify.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;
using kernels::Activation;

namespace {

bool built_in() {
  if (!supported(Provider::onednn)) MESSAGE("skipped: oneDNN is not in this build; tools/onednn.sh gets it");
  return supported(Provider::onednn);
}

ContextOptions onednn(int threads) { return {.threads = threads, .provider = Provider::onednn}; }

struct Case {
  Shape x;
  int64_t cout, groups;
  Shape k;  // the window: [], [kh,kw] or [kd,kh,kw]
};

// As in the network, 2D and 3D: stems, dense windows, groups, 1x1, linear layers, few channels, odd sizes and tails.
const Case cases[] = {
    {{2, 1, 19, 17, 3}, 16, 1, {3, 3}},    {{1, 1, 16, 24, 4}, 16, 1, {3, 3}},   {{1, 1, 12, 20, 64}, 48, 1, {3, 3}},
    {{1, 1, 13, 16, 32}, 32, 2, {3, 3}},   {{2, 1, 8, 9, 96}, 128, 2, {3, 3}},   {{1, 1, 16, 16, 16}, 4, 1, {1, 1}},
    {{1, 1, 10, 12, 128}, 256, 1, {1, 1}}, {{1, 1, 16, 16, 16}, 1, 1, {1, 1}},   {{2, 1, 7, 8, 32}, 96, 1, {}},
    {{1, 8, 9, 10, 1}, 16, 1, {3, 3, 3}},  {{1, 5, 6, 7, 32}, 16, 1, {3, 3, 3}}, {{2, 4, 6, 8, 32}, 32, 2, {3, 3, 3}},
    {{1, 6, 6, 6, 24}, 40, 1, {1, 1, 1}},  {{2, 3, 4, 5, 17}, 33, 1, {3, 3}},    {{1, 3, 4, 5, 12}, 14, 1, {1, 3, 3}},
    {{1, 1, 9, 8, 6}, 5, 1, {5, 5}},       {{1, 1, 1, 1, 1}, 1, 1, {3, 3}}};

Shape weight_shape(const Case& c) {
  std::vector<int64_t> extents{c.cout, c.x[4] / c.groups};
  extents.insert(extents.end(), c.k.extents().begin(), c.k.extents().end());
  return Shape(extents);
}

// eps * terms * magnitudes.
double bound(int64_t terms, const Tensor& a, const Tensor& b) {
  return 6e-8 * static_cast<double>(terms) * max_magnitude(a) * max_magnitude(b);
}

// f(threads, pad) with one thread and two, dense and strided, a context with oneDNN being current.
template <class F>
void in_contexts(const F& f) {
  for (const int threads : {1, 2})
    for (const int64_t pad : {0, 3}) {
      CAPTURE(threads);
      CAPTURE(pad);
      Context context(onednn(threads));
      const Context::Scope scope(context);
      f(pad);
    }
}

// y and dx strided by pad, dweight and dbias, of random tensors of one type.
struct Passes {
  Tensor y, dx, dweight, dbias;
};

}  // namespace

TEST_CASE("onednn: forward, data and weight gradient of every kind of convolution are within rounding of double") {
  if (!built_in()) return;
  for (const Case& c : cases)
    in_contexts([&](int64_t pad) {
      CAPTURE(c.x);
      CAPTURE(c.cout);
      CAPTURE(c.k);
      const Shape out = c.x.with_channels(c.cout), ws = weight_shape(c);
      const Tensor x = randn(c.x, 1, DType::f32, pad), dy = randn(out, 2, DType::f32, 2 * pad);
      const Tensor w = randn(ws, 3, DType::f32), b = randn({c.cout}, 4, DType::f32);
      CHECK(std::string(kernels::prepare(kernels::ConvolutionDims{c.x[0], c.x[1], c.x[2], c.x[3], c.x[4], c.cout,
                                                                  c.groups, 1, 1, 1, x.row_stride(), c.cout},
                                         kernels::Rounding::transformed, Context::current())
                            .row->name) == "onednn");
      const auto run = [&](DType type, int64_t apart) {
        Passes p{padded(out, type, apart), padded(c.x, type, apart), Tensor::full(ws, 7, type),
                 Tensor::full({c.cout}, 7, type)};
        kernels::convolution_forward(x.to(type), w.to(type), b.to(type), c.groups, p.y);
        kernels::convolution_data_gradient(dy.to(type), w.to(type), c.groups, p.dx);
        kernels::convolution_weight_gradient(x.to(type), dy.to(type), c.groups, p.dweight, p.dbias);
        return p;
      };
      const Passes got = run(DType::f32, pad), want = run(DType::f64, 0);
      CHECK(padding_intact(got.y, pad));
      CHECK(padding_intact(got.dx, pad));
      const int64_t taps = w.numel() / (ws[0] * ws[1]);
      CHECK(max_difference(got.y, want.y) <= bound(w.numel() / c.cout + 1, x, w));
      CHECK(max_difference(got.dx, want.dx) <= bound(taps * c.cout / c.groups, dy, w));
      CHECK(max_difference(got.dweight, want.dweight) <= bound(x.rows(), x, dy));
      CHECK(max_difference(got.dbias, want.dbias) <= 6e-8 * static_cast<double>(x.rows()) * max_magnitude(dy));
      // Without a bias.
      const Tensor y = padded(out, DType::f32, pad), exact = Tensor::empty(out, DType::f64),
                   dweight = Tensor::empty(ws, DType::f32);
      kernels::convolution_forward(x, w, {}, c.groups, y, kernels::Rounding::direct);
      kernels::convolution_forward(x.to(DType::f64), w.to(DType::f64), {}, c.groups, exact);
      CHECK(max_difference(y, exact) <= bound(w.numel() / c.cout, x, w));
      kernels::convolution_weight_gradient(x, dy, c.groups, dweight, {});
      CHECK(max_difference(dweight, want.dweight) <= bound(x.rows(), x, dy));
    });
}

TEST_CASE("onednn: depthwise convolutions, 2D and 3D, are within rounding of double") {
  if (!built_in()) return;
  for (const auto& [shape, k] : std::vector<std::pair<Shape, Shape>>{{{2, 1, 11, 9, 32}, {3, 3}},
                                                                     {{1, 1, 8, 8, 20}, {1, 1}},
                                                                     {{1, 5, 6, 7, 24}, {3, 3, 3}},
                                                                     {{2, 4, 4, 5, 16}, {1, 1, 1}},
                                                                     {{1, 1, 6, 5, 1}, {3, 3}}}) {
    std::vector<int64_t> extents{shape[4], 1};
    extents.insert(extents.end(), k.extents().begin(), k.extents().end());
    const Shape s = shape, ws(extents);
    in_contexts([&](int64_t pad) {
      CAPTURE(s);
      CAPTURE(ws);
      const Tensor x = randn(s, 1, DType::f32, pad), dy = randn(s, 2, DType::f32, pad);
      const Tensor w = randn(ws, 3, DType::f32), b = randn({s[4]}, 4, DType::f32);
      const auto run = [&](DType type, int64_t apart) {
        Passes p{padded(s, type, apart), padded(s, type, apart), Tensor::full(ws, 7, type),
                 Tensor::full({s[4]}, 7, type)};
        kernels::depthwise_forward(x.to(type), w.to(type), b.to(type), p.y);
        kernels::depthwise_data_gradient(dy.to(type), w.to(type), p.dx);
        kernels::depthwise_weight_gradient(x.to(type), dy.to(type), p.dweight, p.dbias);
        return p;
      };
      const Passes got = run(DType::f32, pad), want = run(DType::f64, 0);
      CHECK(padding_intact(got.y, pad));
      CHECK(padding_intact(got.dx, pad));
      CHECK(max_difference(got.y, want.y) <= bound(w.numel() / s[4] + 1, x, w));
      CHECK(max_difference(got.dx, want.dx) <= bound(w.numel() / s[4], dy, w));
      CHECK(max_difference(got.dweight, want.dweight) <= bound(x.rows(), x, dy));
      CHECK(max_difference(got.dbias, want.dbias) <= 6e-8 * static_cast<double>(x.rows()) * max_magnitude(dy));
    });
  }
}

TEST_CASE("onednn: an epilogue is what its parts do one after the other, dense and strided") {
  if (!built_in()) return;
  struct Parts {
    Activation before, after;
    bool bias, norm, residual;
  };
  for (const Case& c : cases)
    for (const Parts& parts : {Parts{Activation::gelu, Activation::silu, true, true, true},
                               {Activation::none, Activation::relu, false, true, false},
                               {Activation::none, Activation::none, true, true, true}})
      for (const int64_t residual_pad : {0, 3})
        in_contexts([&](int64_t pad) {
          CAPTURE(c.x);
          CAPTURE(c.k);
          CAPTURE(residual_pad);
          const Shape out = c.x.with_channels(c.cout), ws = weight_shape(c);
          const Tensor x = randn(c.x, 1, DType::f32, pad), w = randn(ws, 2, DType::f32);
          const Tensor b = parts.bias ? randn({c.cout}, 3, DType::f32) : Tensor();
          const Tensor residual = parts.residual ? randn(out, 4, DType::f32, residual_pad) : Tensor();
          const Tensor gamma = randn({c.cout}, 5, DType::f32), beta = randn({c.cout}, 6, DType::f32),
                       mean = randn({1, c.cout}, 7, DType::f64), rstd = Tensor::full({1, c.cout}, 0.75, DType::f64);
          const Tensor tables = Tensor::empty({3, c.cout});
          kernels::norm_tables(mean.data<double>(), rstd.data<double>(), gamma.data<float>(), beta.data<float>(), 1,
                               c.cout, tables.data<float>());
          kernels::Epilogue<kernels::Strided<float>> e{parts.before, parts.after};
          if (parts.bias) e.bias.data = b.data<float>();
          e.norm = {tables.data<float>(), c.cout};
          if (parts.residual) e.residual = {residual.data<float>(), residual.row_stride()};
          const Tensor y = padded(out, DType::f32, pad), want = Tensor::empty(out);
          const auto d = kernels::convolution_dims("convolution", x, w, c.groups, y);
          kernels::pack_and_run<float>(kernels::prepare(d, kernels::Rounding::transformed, Context::current()),
                                       x.data<float>(), kernels::forward_weights<float>(d, w.data<float>()),
                                       {.epilogue = e}, y.data<float>());
          CHECK(padding_intact(y, pad));
          kernels::convolution_forward(x, w, b, c.groups, want);
          const double largest = max_magnitude(want) + max_magnitude(mean);
          kernels::channel_norm_forward(want, mean, rstd, gamma, beta,
                                        {.before = parts.before, .after = parts.after, .residual = residual}, want);
          // Its gelu and silu are not ours.
          CHECK(max_difference(y, want) <= 4e-6 * largest * (1 + max_magnitude(gamma)));
        });
}

TEST_CASE("onednn: a convolution of one tap reads through a norm, an activation and a sum") {
  if (!built_in()) return;
  for (const bool norm : {true, false})
    in_contexts([&](int64_t pad) {
      const Shape shape{2, 3, 4, 5, 24};
      const Tensor x = randn(shape, 1, DType::f32, pad), w = randn({40, 24, 1, 1, 1}, 2, DType::f32),
                   residual = randn(shape, 3, DType::f32, 2 * pad), tables = randn({2, 3, 24}, 4, DType::f32);
      const Tensor through = Tensor::empty(shape), y = padded(shape.with_channels(40), DType::f32, pad),
                   want = Tensor::empty(y.shape(), DType::f64);
      for (int64_t r = 0; r < x.rows(); ++r)
        for (int64_t i = 0; i < 24; ++i) {
          const float* const t = tables.data<float>() + r / 60 * 72 + i;
          const float u = x.data<float>()[r * x.row_stride() + i], z = norm ? t[24] * (u - t[0]) + t[48] : u;
          through.data<float>()[r * 24 + i] = std::max(z, 0.f) + residual.data<float>()[r * residual.row_stride() + i];
        }
      kernels::convolution_forward(through.to(DType::f64), w.to(DType::f64), {}, 1, want);
      const auto d = kernels::convolution_dims("convolution", x, w, 1, y);
      kernels::Fusing<float> fusing;
      fusing.prologue = {.after = Activation::relu, .residual = {residual.data<float>(), residual.row_stride()}};
      if (norm) fusing.prologue.norm = {tables.data<float>(), 24};
      kernels::pack_and_run<float>(kernels::prepare(d, kernels::Rounding::transformed, Context::current()),
                                   x.data<float>(), kernels::forward_weights<float>(d, w.data<float>()), fusing,
                                   y.data<float>());
      CHECK(padding_intact(y, pad));
      CHECK(max_difference(y, want) <= bound(26, through, w));
    });
}

TEST_CASE("onednn: no pixels and no images are fine") {
  if (!built_in()) return;
  in_contexts([&](int64_t pad) {
    const Tensor x = padded({0, 1, 4, 4, 8}, DType::f32, pad), w = Tensor::zeros({8, 8, 3, 3}),
                 d = Tensor::zeros({8, 1, 3, 3});
    const Tensor dw = Tensor::full(w.shape(), 7), dd = Tensor::full(d.shape(), 7);
    kernels::convolution_forward(x, w, {}, 1, x);
    kernels::convolution_weight_gradient(x, x, 1, dw, {});
    kernels::depthwise_forward(x, d, {}, x);
    kernels::depthwise_weight_gradient(x, x, dd, {});
    CHECK(max_magnitude(dw) == 0);
    CHECK(max_magnitude(dd) == 0);
  });
}

TEST_CASE("onednn: golden files of whole networks: evaluation, a training step's gradients, the steps after it") {
  if (!built_in()) return;
  for (const char* const file : {"net_2d", "net_3d"})
    for (const int threads : {1, 2}) {
      Context context(onednn(threads));
      const Context::Scope scope(context);
      const VerifyReport report = verify(text(LGMS_TEST_DATA "/golden/", file, ".safetensors"), DType::f32);
      CHECK(report.rows.size() > 2);
      for (const VerifyRow& row : report.rows) {
        CAPTURE(file);
        CAPTURE(threads);
        CAPTURE(row.name);
        CAPTURE(row.where);
        CAPTURE(row.error);
        CAPTURE(row.bound);
        CHECK(row.passed);
      }
    }
}

TEST_CASE("onednn: a plan runs every convolution on it, in several threads at once, and is of its context alone") {
  if (!built_in()) return;
  for (const char* const name : {"2d", "3d"}) {
    const Config config = Config::named(name);
    const Inference net = LGMSNet(config).inference();
    const Shape shape = config.rank == 2 ? Shape{1, 1, 64, 64, 3} : Shape{1, 32, 32, 32, 1};
    const Tensor x = randn(shape, 5, DType::f32), own = net.forward(x);
    const auto packed = std::make_shared<PackedWeights>();
    for (const int threads : {1, 2}) {
      Context context(onednn(threads));
      const Context::Scope scope(context);
      const Plan plan(config, net.parameters(), packed, shape);
      for (size_t i = 0; i < plan.steps().steps.size(); ++i) {
        const Op op = plan.steps().steps[i].op;
        if (op != Op::convolution && op != Op::linear && op != Op::depthwise) continue;
        CHECK(std::string(plan.row_of(i)) == "onednn");
      }
      const Tensor want = plan.run(x);
      CHECK(max_difference(want, own) <= 1e-4 * max_magnitude(own));
      std::vector<double> off(3, 1);
      std::vector<std::thread> runs;
      for (double& most : off)
        runs.emplace_back([&] {
          const Context::Scope inside(context);
          most = max_difference(plan.run(x), want);
        });
      for (std::thread& run : runs) run.join();
      for (const double most : off) CHECK(most <= 1e-5 * max_magnitude(own));
      Context other({.threads = threads, .provider = Provider::own});
      CHECK_FALSE(plan.fits(other));
    }
  }
}

TEST_CASE("onednn: who names a provider that is not there, or that nobody knows, is told") {
  CHECK(supported(Provider::own));
  CHECK(provider_from_name("onednn") == Provider::onednn);
  CHECK(error_of([] { provider_from_name("mkl"); }) == "[provider] expected own or onednn, got 'mkl'");
  if (!supported(Provider::onednn))
    CHECK(error_of([] { Context context(onednn(1)); }).starts_with("[provider] onednn: not in this build; "));
  CHECK(Context({.isa = Isa::generic, .provider = Provider::own}).arithmetic() == "generic");
  if (built_in()) CHECK(Context({.isa = Isa::generic, .provider = Provider::onednn}).arithmetic() == "generic+onednn");
}
