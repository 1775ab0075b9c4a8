#include "autograd/gradcheck.h"
#include "autograd/ops.h"
#include "kernels/attention/reference.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;
using kernels::kHeadDim;

namespace {

struct Size {
  int64_t n, d, h, w, heads;
  int rank;
};
// Tokens per sub-grid: 1, 6, 15, 16, 17, 32, 35, 75, 1, 8, 27, 45.
const Size sizes[] = {{1, 1, 2, 2, 1, 2},  {2, 1, 4, 6, 2, 2},  {1, 1, 6, 10, 3, 2},  {1, 1, 8, 8, 4, 2},
                      {1, 1, 34, 2, 1, 2}, {1, 1, 8, 16, 1, 2}, {1, 1, 10, 14, 1, 2}, {1, 5, 6, 10, 1, 2},
                      {1, 2, 2, 2, 1, 3},  {2, 4, 4, 4, 2, 3},  {1, 6, 6, 6, 1, 3},   {1, 10, 6, 6, 1, 3}};

Shape qkv_shape(const Size& s) { return {s.n, s.d, s.h, s.w, 3 * s.heads * kHeadDim}; }
Shape y_shape(const Size& s) { return qkv_shape(s).with_channels(s.heads * kHeadDim); }

struct Result {
  Tensor y, statistics, dqkv;
};

Result in_context(Isa isa, int threads, const Size& s, const Tensor& qkv, const Tensor& dy, int64_t pad) {
  Context context({.threads = threads, .isa = isa});
  const Context::Scope scope(context);
  Result r{padded(y_shape(s), qkv.dtype(), pad), Tensor::empty(y_shape(s).with_channels(2 * s.heads), qkv.dtype()),
           padded(qkv_shape(s), qkv.dtype(), pad)};
  kernels::attention_forward(qkv, s.heads, s.rank, r.y, r.statistics);
  kernels::attention_backward(qkv, r.y, r.statistics, dy, s.heads, s.rank, r.dqkv);
  CHECK(padding_intact(r.y, pad));
  CHECK(padding_intact(r.dqkv, pad));
  return r;
}

Tensor scaled(const Tensor& t, double factor) {
  const Tensor copy = t.to(DType::f64).clone();
  for (double& v : copy.span<double>()) v *= factor;
  return copy.to(t.dtype());
}

// Pixel by pixel as the spec words it: a query sees the keys whose position has its parity in every axis.
Tensor plain_attention(const Size& s, const Tensor& qkv) {
  const Tensor y = Tensor::zeros(y_shape(s), DType::f64);
  const double* x = qkv.data<double>();
  const int64_t third = s.heads * kHeadDim, c = 3 * third, pixels = s.d * s.h * s.w;
  const auto alike = [&](int64_t a, int64_t b) {
    const int64_t d = a / (s.h * s.w) - b / (s.h * s.w), h = a / s.w % s.h - b / s.w % s.h, w = a % s.w - b % s.w;
    return (s.rank == 2 || d % 2 == 0) && h % 2 == 0 && w % 2 == 0;
  };
  for (int64_t image = 0; image < s.n; ++image)
    for (int64_t head = 0; head < s.heads; ++head)
      for (int64_t i = 0; i < pixels; ++i) {
        const double* q = x + (image * pixels + i) * c + head * kHeadDim;
        double sum = 0, out[kHeadDim] = {};
        for (int64_t j = 0; j < pixels; ++j) {
          if (!alike(i, j)) continue;
          const double* k = x + (image * pixels + j) * c + third + head * kHeadDim;
          const double p = std::exp(kernels::attention_dot(q, k) / std::sqrt(8.));
          sum += p;
          for (int64_t e = 0; e < kHeadDim; ++e) out[e] += p * k[third + e];
        }
        for (int64_t e = 0; e < kHeadDim; ++e)
          y.data<double>()[(image * pixels + i) * third + head * kHeadDim + e] = out[e] / sum;
      }
  return y;
}

}  // namespace

TEST_CASE("attention: the reference is softmax(q k^T / sqrt(8)) v among pixels of one parity") {
  for (const Size& s : sizes) {
    const Tensor qkv = randn(qkv_shape(s), 1);
    CHECK(max_difference(in_context(Isa::reference, 1, s, qkv, randn(y_shape(s), 2), 0).y, plain_attention(s, qkv)) <
          1e-13);
  }
}

TEST_CASE("attention: every implementation agrees with the reference in double, whatever the number of tokens") {
  for (const Size& s : sizes)
    for (double factor : {1., 8.}) {  // 8: scores up to about 400, nearly one-hot
      const int64_t pad = factor == 1 ? 3 : 0;
      const Tensor qkv = scaled(randn(qkv_shape(s), 1, DType::f32), factor), dy = randn(y_shape(s), 2, DType::f32, pad);
      const Tensor strided = padded(qkv.shape(), DType::f32, pad);
      strided.copy_from(qkv);
      const Result want = in_context(Isa::reference, 1, s, qkv.to(DType::f64), dy.to(DType::f64), 0);
      // A score is 8 products of numbers up to 4.5 * factor; its rounding error is the relative error of p.
      const double eps = 6e-8, score = 8 * 4.5 * 4.5 * factor * factor / 2.8;
      for (Isa isa : isas()) {
        CAPTURE(name_of(isa));
        CAPTURE(s.h * s.w);
        const Result got = in_context(isa, 1, s, strided, dy, pad);
        CHECK(max_difference(got.y.to(DType::f64), want.y) < eps * (8 + score) * max_magnitude(want.y));
        CHECK(max_difference(got.dqkv.to(DType::f64), want.dqkv) < eps * (64 + 4 * score) * max_magnitude(want.dqkv));
      }
    }
}

TEST_CASE("attention: equal keys average the values exactly") {
  for (Isa isa : isas()) {
    CAPTURE(name_of(isa));
    const Size s{1, 1, 16, 16, 2, 2};  // 64 tokens: sums and quotients of small integers are exact
    const Tensor qkv = integers(qkv_shape(s), 1);
    qkv.slice(16, 16).fill(0);
    const Tensor y = in_context(isa, 1, s, qkv, Tensor::zeros(y_shape(s)), 0).y;
    const Tensor want =
        in_context(Isa::reference, 1, s, qkv.to(DType::f64), Tensor::zeros(y_shape(s), DType::f64), 0).y;
    CHECK(max_difference(y.to(DType::f64), want) == 0);
  }
}

TEST_CASE("attention: a growing sequence of scores, far apart, neither overflows nor vanishes") {
  for (Isa isa : isas())
    for (double direction : {1., -1.}) {
      CAPTURE(name_of(isa));
      const Size s{1, 1, 20, 20, 1, 2};
      const Tensor qkv = randn(qkv_shape(s), 1, DType::f32);
      for (int64_t r = 0; r < qkv.rows(); ++r)
        for (int64_t c = 0; c < 8; ++c) {
          qkv.data<float>()[r * 24 + c] = 10;
          qkv.data<float>()[r * 24 + 8 + c] = static_cast<float>(direction) * static_cast<float>(r) / 16;
        }
      const Tensor dy = randn(y_shape(s), 2, DType::f32);
      const Result got = in_context(isa, 1, s, qkv, dy, 0);
      const Result want = in_context(Isa::reference, 1, s, qkv.to(DType::f64), dy.to(DType::f64), 0);
      CHECK(max_difference(got.y.to(DType::f64), want.y) < 1e-3);
      CHECK(max_difference(got.dqkv.to(DType::f64), want.dqkv) < 1e-3 * max_magnitude(want.dqkv));
    }
}

TEST_CASE("attention: NaN in one sub-grid stays there") {
  for (Isa isa : isas()) {
    CAPTURE(name_of(isa));
    const Size s{1, 1, 8, 8, 1, 2};
    const Tensor qkv = randn(qkv_shape(s), 1, DType::f32);
    qkv.data<float>()[8] = NAN;  // a key of pixel (0, 0)
    const Tensor y = in_context(isa, 1, s, qkv, Tensor::zeros(y_shape(s)), 0).y;
    for (int64_t r = 0; r < y.rows(); ++r) CHECK(std::isnan(y.data<float>()[r * 8]) == (r % 2 == 0 && r / 8 % 2 == 0));
  }
}

TEST_CASE("attention: the same bits for any number of threads") {
  const Size s{2, 1, 18, 22, 3, 2};
  const Tensor qkv = randn(qkv_shape(s), 1, DType::f32), dy = randn(y_shape(s), 2, DType::f32);
  for (Isa isa : isas()) {
    const Result one = in_context(isa, 1, s, qkv, dy, 0);
    for (int threads : {2, 3}) {
      const Result more = in_context(isa, threads, s, qkv, dy, 0);
      CHECK(max_difference(more.y, one.y) == 0);
      CHECK(max_difference(more.statistics, one.statistics) == 0);
      CHECK(max_difference(more.dqkv, one.dqkv) == 0);
    }
  }
}

TEST_CASE("attention: gradient matches central differences in double") {
  for (const Size& s : sizes) {
    const auto f = [&](auto& v) { return autograd::attention(v[0], s.heads, s.rank); };
    CHECK(autograd::gradcheck(f, {randn(qkv_shape(s), 1, DType::f64, 2)}).error < 1e-6);
  }
}

TEST_CASE("attention: wrong shapes throw and name the argument; no images are fine") {
  const auto run = [](const Shape& qkv, const Shape& y, const Shape& statistics, int rank) {
    return error_of(
        [&] { kernels::attention_forward(Tensor::zeros(qkv), 2, rank, Tensor::zeros(y), Tensor::zeros(statistics)); });
  };
  CHECK(run({1, 1, 4, 3, 48}, {}, {}, 2) == "[attention] qkv: expected even H and W, got [1, 1, 4, 3, 48]");
  CHECK(run({1, 1, 4, 4, 48}, {}, {}, 3) == "[attention] qkv: expected even D, H and W, got [1, 1, 4, 4, 48]");
  CHECK(run({1, 1, 4, 4, 40}, {}, {}, 2) == "[attention] qkv: expected [1, 1, 4, 4, 48], got [1, 1, 4, 4, 40]");
  CHECK(run({1, 1, 4, 4, 48}, {1, 1, 4, 4, 8}, {}, 2) ==
        "[attention] y: expected [1, 1, 4, 4, 16], got [1, 1, 4, 4, 8]");
  CHECK(run({1, 1, 4, 4, 48}, {1, 1, 4, 4, 16}, {1, 1, 4, 4, 2}, 2) ==
        "[attention] statistics: expected [1, 1, 4, 4, 4], got [1, 1, 4, 4, 2]");
  CHECK(run({0, 1, 4, 4, 48}, {0, 1, 4, 4, 16}, {0, 1, 4, 4, 4}, 2) == "");
}
