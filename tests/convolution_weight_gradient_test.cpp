#include "kernels/convolution/weight_gradient/reference.h"
#include "kernels/convolution/weight_gradient/weight_gradient.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;
using kernels::CorrelationDims;

namespace {

struct Case {
  Shape x;  // [N,D,H,W,Cin]
  int64_t cout, groups;
  Shape k;  // the window: [], [kh,kw] or [kd,kh,kw]
};

Shape weight_shape(const Case& c) {
  std::vector<int64_t> extents{c.cout, c.x[4] / c.groups};
  extents.insert(extents.end(), c.k.extents().begin(), c.k.extents().end());
  return Shape(extents);
}

// The formula of the header, weight by weight, in double.
Tensor formula(const Case& c, const Tensor& x, const Tensor& dy) {
  const Tensor dw = Tensor::zeros(weight_shape(c), DType::f64), fx = x.to(DType::f64).dense(),
               fy = dy.to(DType::f64).dense();
  const Shape& s = c.x;
  const int64_t in = s[4] / c.groups, kd = c.k.rank() == 3 ? c.k[0] : 1, kh = c.k.rank() > 1 ? c.k[-2] : 1,
                kw = c.k.rank() > 1 ? c.k[-1] : 1;
  double* w = dw.data<double>();
  for (int64_t o = 0; o < c.cout; ++o)
    for (int64_t i = 0; i < in; ++i)
      for (int64_t tz = 0; tz < kd; ++tz)
        for (int64_t ty = 0; ty < kh; ++ty)
          for (int64_t tx = 0; tx < kw; ++tx, ++w)
            for (int64_t n = 0; n < s[0]; ++n)
              for (int64_t z = 0; z < s[1]; ++z)
                for (int64_t y = 0; y < s[2]; ++y)
                  for (int64_t p = 0; p < s[3]; ++p) {
                    const int64_t az = z + tz - kd / 2, ay = y + ty - kh / 2, ap = p + tx - kw / 2;
                    if (az < 0 || az >= s[1] || ay < 0 || ay >= s[2] || ap < 0 || ap >= s[3]) continue;
                    *w += fy.data<double>()[(((n * s[1] + z) * s[2] + y) * s[3] + p) * c.cout + o] *
                          fx.data<double>()[(((n * s[1] + az) * s[2] + ay) * s[3] + ap) * s[4] +
                                            o / (c.cout / c.groups) * in + i];
                  }
  return dw;
}

// Sums of integers are exact, but for the thirds in Winograd's transforms: their error relative to the largest sum.
double rounding(const std::string& name) { return name.find("winograd") == std::string::npos ? 0 : 2e-6; }

const std::vector<Case> cases = {
    {{2, 1, 5, 7, 3}, 16, 1, {3, 3}},     {{1, 1, 6, 5, 16}, 4, 1, {}},       {{1, 1, 9, 4, 20}, 33, 1, {1, 1}},
    {{2, 3, 5, 6, 8}, 6, 2, {3, 3, 3}},   {{1, 2, 3, 3, 1}, 1, 1, {3, 3, 3}}, {{1, 1, 1, 1, 17}, 9, 1, {3, 3}},
    {{1, 1, 4, 9, 70}, 81, 1, {1, 1}},    {{1, 1, 8, 6, 32}, 32, 2, {3, 3}},  {{1, 1, 5, 6, 2}, 3, 1, {5, 7}},
    {{1, 2, 3, 4, 4}, 130, 1, {1, 1, 1}}, {{3, 1, 5, 5, 12}, 24, 4, {3, 3}},
};

}  // namespace

TEST_CASE("convolution_weight_gradient: on integers equals its formula, in float on every ISA and in double") {
  for (Isa isa : isas())
    for (const Case& c : cases)
      for (int64_t pad : {0, 5}) {
        CAPTURE(std::string(name_of(isa)));
        CAPTURE(c.x);
        CAPTURE(c.cout);
        CAPTURE(c.k);
        ContextOptions options;
        options.isa = isa;
        Context context(options);
        const Context::Scope scope(context);
        const DType type = isa == Isa::reference && pad == 0 ? DType::f64 : DType::f32;
        const Tensor x = integers(c.x, 1, type, pad), dy = integers(c.x.with_channels(c.cout), 2, type, pad);
        const Tensor dw = Tensor::full(weight_shape(c), 7, type), db = Tensor::full({c.cout}, 7, type);
        kernels::convolution_weight_gradient(x, dy, c.groups, dw, db);
        const Tensor want = formula(c, x, dy);
        CHECK(max_difference(dw, want) <= 2e-6 * max_magnitude(want));
        for (int64_t o = 0; o < c.cout; ++o) {
          const Tensor one = dy.to(DType::f64).slice(o, 1).clone();
          double sum = 0;
          for (double v : one.span<double>()) sum += v;
          CHECK((type == DType::f64 ? db.data<double>()[o] : db.data<float>()[o]) == sum);
        }
      }
}

TEST_CASE("convolution_weight_gradient: every implementation equals the reference at SIMD edge sizes") {
  for (const auto& impl : kernels::correlation_impls())
    for (int64_t k : {1, 3})
      for (int64_t ca : simd_edge_sizes(64))
        for (int64_t cb : {1, 3, 8, 13, 16}) {
          CorrelationDims d{4, 1, 6, 7, ca, cb, ca + 3, cb + 2, (ca + 15) / 16 * 16 + 16, 1, k, k};
          if (!supported(impl.isa) || !impl.accepts(d)) continue;
          CAPTURE(std::string(impl.name));
          CAPTURE(k);
          CAPTURE(ca);
          CAPTURE(cb);
          const auto a = small_integers(d.n * d.h * d.w * d.lda, 1), b = small_integers(d.n * d.h * d.w * d.ldb, 2);
          const Tensor p = Tensor::full({d.taps(), cb, d.ldp}, 7), want = Tensor::full(p.shape(), 7);
          const Tensor scratch = Tensor::full({impl.scratch(d) + 1}, 1e30);
          std::vector<float> sums(static_cast<size_t>(ca + cb), 5.f), want_sums = sums;
          // Units 1 and 2: the second image and the third.
          impl.run(d, 1, 3, a.data(), b.data(), {p.data<float>(), sums.data(), sums.data() + ca},
                   scratch.data<float>());
          kernels::correlation_reference<float>(d, 1, 3, a.data(), b.data(),
                                                {want.data<float>(), want_sums.data(), want_sums.data() + ca}, nullptr);
          CHECK(sums == want_sums);
          CHECK(max_difference(p.slice(0, ca), want.slice(0, ca)) <=
                rounding(impl.name) * max_magnitude(want.slice(0, ca)));
          CHECK(max_difference(p.slice(d.ldp - 16, 16), want.slice(d.ldp - 16, 16)) == 0);
        }
}

TEST_CASE("convolution_weight_gradient: random numbers agree with double within rounding, whatever the threads") {
  for (const Case& c : {Case{{2, 1, 40, 36, 20}, 18, 1, {3, 3}},
                        {{2, 3, 17, 19, 7}, 150, 1, {3, 3, 3}},
                        {{2, 6, 24, 25, 18}, 16, 1, {3, 3, 3}}}) {
    const Tensor x = randn(c.x, 1, DType::f32, 3), dy = randn(c.x.with_channels(c.cout), 2, DType::f32, 1);
    const Tensor exact = Tensor::empty(weight_shape(c), DType::f64);
    kernels::convolution_weight_gradient(x.to(DType::f64), dy.to(DType::f64), 1, exact, {});
    for (Isa isa : isas()) {
      CAPTURE(std::string(name_of(isa)));
      Tensor first;
      for (int threads : {1, 2, 3}) {
        ContextOptions options;
        options.isa = isa;
        options.threads = threads;
        Context context(options);
        const Context::Scope scope(context);
        const Tensor dw = Tensor::empty(weight_shape(c)), db = Tensor::empty({c.cout});
        kernels::convolution_weight_gradient(x, dy, 1, dw, db);
        if (!first.defined()) first = dw;
        CHECK(max_difference(dw, first) == 0);
        CHECK(max_difference(dw, exact) < 6e-8 * static_cast<double>(x.rows()) * 4);
      }
    }
  }
}

TEST_CASE("convolution_weight_gradient: no images give zeros") {
  for (Isa isa : isas())
    for (int64_t c : {3, 16}) {
      ContextOptions options;
      options.isa = isa;
      Context context(options);
      const Context::Scope scope(context);
      const Tensor x = Tensor::empty({0, 1, 4, 4, c}), dw = Tensor::full({c, c, 3, 3}, 7), db = Tensor::full({c}, 7);
      kernels::convolution_weight_gradient(x, x, 1, dw, db);
      CHECK(max_magnitude(dw) == 0);
      CHECK(max_magnitude(db) == 0);
    }
}

TEST_CASE("convolution_weight_gradient: wrong shapes throw and name the argument") {
  const Tensor x = Tensor::zeros({1, 1, 4, 4, 6}), dy = Tensor::zeros({1, 1, 4, 4, 4}),
               dw = Tensor::zeros({4, 3, 3, 3});
  const auto error = [&](const Tensor& ax, const Tensor& ady, int64_t groups, const Tensor& adw, const Tensor& adb) {
    return error_of([&] { kernels::convolution_weight_gradient(ax, ady, groups, adw, adb); });
  };
  const std::string op = "[convolution_weight_gradient] ";
  CHECK(error(x, dy, 2, dw, {}).empty());
  CHECK(error(Tensor::zeros({4, 6}), dy, 2, dw, {}) == op + "x: expected [N, D, H, W, C], got [4, 6]");
  CHECK(error(x, Tensor::zeros({1, 1, 4, 5, 4}), 2, dw, {}) ==
        op + "dy: expected [1, 1, 4, 4, 4], got [1, 1, 4, 5, 4]");
  CHECK(error(x, dy, 4, dw, {}) == op + "groups: expected a divisor of 6, got 4");
  CHECK(error(x, dy, 1, dw, {}) ==
        op + "dweight: expected dense [Cout, 6, k...], Cout a multiple of 1, got [4, 3, 3, 3]");
  CHECK(error(x, dy, 2, Tensor::zeros({4, 3, 2, 2}), {}) == op + "dweight: expected odd k, got [4, 3, 2, 2]");
  CHECK(error(x, dy, 2, Tensor::zeros({4, 3, 3, 3}, DType::f64), {}) == op + "dweight: expected f32, got f64");
  CHECK(error(x, dy, 2, dw, Tensor::zeros({3})) == op + "dbias: expected [4], got [3]");
}
