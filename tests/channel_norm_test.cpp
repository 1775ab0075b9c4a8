#include "kernels/channel_norm/channel_norm.h"

#include <cmath>

#include "autograd/gradcheck.h"
#include "autograd/ops.h"
#include "kernels/channel_norm/reference.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;
using kernels::Activation;

namespace {

constexpr Activation kinds[] = {Activation::none, Activation::relu, Activation::silu, Activation::gelu};

template <class T>
std::vector<T> to(const std::vector<float>& v) {
  return {v.begin(), v.end()};
}

// Inputs and results of all four passes of one implementation.
template <class T>
struct Passes {
  kernels::ChannelNormDims d;
  std::vector<T> x, r, mean, scale, shift, slope, offset, moments, y, y_alone, sums, dx;

  Passes(const kernels::ChannelNormDims& dims, bool exact) : d(dims) {
    const auto draw = [&](int64_t n, uint64_t seed) {
      return to<T>(exact ? small_integers(n, seed) : normals(n, seed));
    };
    x = draw(d.rows * d.ldx, 1), r = draw(d.rows * d.ldr, 2);
    mean = draw(d.c, 3), scale = draw(d.c, 4), shift = draw(d.c, 5), slope = draw(d.c, 6), offset = draw(d.c, 7);
    moments.assign(static_cast<size_t>(3 * d.c), 7);
    sums.assign(static_cast<size_t>(2 * d.c), 7);
    y.assign(static_cast<size_t>(d.rows * d.ldy), 7);
    y_alone = dx = y;
  }
  void run(const kernels::ChannelNormKernels<T>& k) {
    const kernels::ChannelNormCoefficients<T> coefficients{mean.data(), scale.data(), shift.data(), slope.data(),
                                                           offset.data()};
    k.moments(d, x.data(), moments.data());
    k.apply(d, coefficients, x.data(), r.data(), y.data());
    k.apply(d, coefficients, x.data(), nullptr, y_alone.data());
    k.sums(d, coefficients, x.data(), r.data(), sums.data());
    k.backward(d, coefficients, x.data(), r.data(), dx.data());
  }
};

double worst(const std::vector<float>& got, const std::vector<double>& want) {
  double difference = 0;
  for (size_t i = 0; i < got.size(); ++i) difference = std::max(difference, std::abs(got[i] - want[i]));
  return difference;
}

struct Family {
  const char* name;
  int64_t per_set;
  bool over_images;
};
constexpr Family families[] = {{"batch", 1, true}, {"instance", 1, false}, {"group", 3, false}};

// Mean and variance of before(x) over each set, two passes, straight from the definition: [N, C] each.
void textbook(const Tensor& x, Activation before, const kernels::NormSets& sets, std::vector<double>& mean,
              std::vector<double>& variance) {
  const Tensor v = x.to(DType::f64).dense();
  const int64_t n = v.shape()[0], c = v.channels(), s = v.rows() / n;
  mean.assign(static_cast<size_t>(n * c), 0), variance = mean;
  const auto over_set = [&](int64_t image, int64_t channel, const auto& f) {
    double sum = 0, count = 0;
    const int64_t first = channel / sets.channels_per_set * sets.channels_per_set;
    for (int64_t m = sets.over_images ? 0 : image; m < (sets.over_images ? n : image + 1); ++m)
      for (int64_t p = 0; p < s; ++p)
        for (int64_t i = first; i < first + sets.channels_per_set; ++i, ++count)
          sum += f(kernels::activate(before, v.data<double>()[(m * s + p) * c + i]));
    return sum / count;
  };
  for (int64_t image = 0; image < n; ++image)
    for (int64_t i = 0; i < c; ++i) {
      const double mu = mean[image * c + i] = over_set(image, i, [](double u) { return u; });
      variance[image * c + i] = over_set(image, i, [&](double u) { return (u - mu) * (u - mu); });
    }
}

}  // namespace

TEST_CASE("channel_norm: every implementation equals the reference exactly on small integers") {
  for (const auto& impl : kernels::channel_norm_impls())
    for (int64_t c : simd_edge_sizes(129))
      for (Activation after : {Activation::none, Activation::relu}) {
        if (!supported(impl.isa)) continue;
        CAPTURE(impl.name);
        CAPTURE(c);
        const kernels::ChannelNormDims d{7, c, c + 3, c + 1, c + 2, Activation::relu, after};
        Passes<float> got(d, true), want(d, true);
        got.run(*impl.run);
        want.run(kernels::channel_norm_reference<float>);
        CHECK(got.moments == want.moments);
        CHECK(got.y == want.y);
        CHECK(got.y_alone == want.y_alone);
        CHECK(got.sums == want.sums);
        CHECK(got.dx == want.dx);
      }
}

TEST_CASE("channel_norm: every implementation is near the reference in double for all pairs of activations") {
  for (const auto& impl : kernels::channel_norm_impls())
    for (int64_t c : {1, 4, 12, 33, 64, 100})
      for (Activation before : kinds)
        for (Activation after : kinds) {
          if (!supported(impl.isa)) continue;
          CAPTURE(impl.name);
          CAPTURE(c);
          CAPTURE(name_of(before));
          CAPTURE(name_of(after));
          const kernels::ChannelNormDims d{9, c, c + 3, c, c + 2, before, after};
          Passes<float> got(d, false);
          Passes<double> want(d, false);
          got.run(*impl.run);
          want.run(kernels::channel_norm_reference<double>);
          CHECK(worst(got.moments, want.moments) < 2e-5);
          CHECK(worst(got.y, want.y) < 1e-5);
          CHECK(worst(got.y_alone, want.y_alone) < 1e-5);
          CHECK(worst(got.sums, want.sums) < 1e-4);
          CHECK(worst(got.dx, want.dx) < 1e-4);
        }
}

TEST_CASE("channel_norm: statistics follow the definition, with any strides, also where |mean| >> std") {
  for (Isa isa : isas())
    for (const Family& family : families)
      for (const Shape& shape :
           {Shape{3, 1, 5, 7, 12}, Shape{2, 3, 2, 8, 3}, Shape{2, 1, 70, 70, 6}, Shape{1, 1, 1, 2, 3}})
        for (int64_t pad : {0, 5})
          for (double offset : {0.0, 1e4}) {
            Context context(with_isa(isa));
            const Context::Scope scope(context);
            const Tensor x = randn(shape, 1, DType::f32, pad);
            for (int64_t i = 0; i < x.numel(); ++i)
              x.data<float>()[i / x.channels() * x.row_stride() + i % x.channels()] += static_cast<float>(offset);
            const kernels::NormSets sets{family.per_set, family.over_images};
            const int64_t n = shape[0], c = shape[4], m = family.over_images ? 1 : n;
            const Tensor mean = Tensor::empty({m, c}, DType::f64), variance = Tensor::empty({m, c}, DType::f64);
            kernels::channel_norm_statistics(x, Activation::gelu, sets, mean, variance);
            std::vector<double> want_mean, want_variance;
            textbook(x, Activation::gelu, sets, want_mean, want_variance);
            CAPTURE(name_of(isa));
            CAPTURE(family.name);
            CAPTURE(shape);
            for (int64_t i = 0; i < m * c; ++i) {
              CHECK(mean.span<double>()[i] == doctest::Approx(want_mean[i]).epsilon(2e-6));
              CHECK(std::abs(variance.span<double>()[i] - want_variance[i]) < 1e-5 * std::max(want_variance[i], 0.1));
            }
          }
}

TEST_CASE("channel_norm: y and gradients in f32 are near f64, whatever the offset of x, strides and instruction set") {
  const Shape shape{2, 3, 9, 11, 6};
  for (Isa isa : isas())
    for (const Family& family : families)
      for (int64_t pad : {0, 3})
        for (double offset : {0.0, 1e4}) {
          Context context(with_isa(isa));
          const Context::Scope scope(context);
          const auto run = [&](DType dtype) {
            // The same values in both types: f32 rounds first.
            const Tensor raw = randn(shape, 1, DType::f64);
            for (double& v : raw.span<double>()) v = static_cast<float>(v + offset);
            const Tensor x = padded(shape, dtype, pad);
            x.copy_from(raw.to(dtype));
            const auto like = [&](const Shape& s, uint64_t seed) { return randn(s, seed, DType::f32).to(dtype); };
            const autograd::Variable v(x, true), gamma(like({6}, 3), true), beta(like({6}, 4), true);
            autograd::Epilogue options;
            options.after = Activation::silu;
            const autograd::Variable y = family.over_images    ? autograd::batch_norm(v, gamma, beta, {}, true, options)
                                         : family.per_set == 1 ? autograd::instance_norm(v, options)
                                                               : autograd::group_norm(v, gamma, beta, 2, options);
            autograd::backward(y, like(shape, 5));
            std::vector<Tensor> all{y.value(), v.grad()};
            if (gamma.grad().defined()) all.insert(all.end(), {gamma.grad(), beta.grad()});
            return all;
          };
          const auto got = run(DType::f32), want = run(DType::f64);
          CAPTURE(name_of(isa));
          CAPTURE(family.name);
          CAPTURE(offset);
          for (size_t i = 0; i < got.size(); ++i)
            CHECK(max_difference(got[i], want[i]) < 1e-5 * std::max(1.0, max_magnitude(want[i])));
        }
}

TEST_CASE("channel_norm: the same bits for any number of threads, padding untouched, dx in place of dy") {
  const Shape shape{3, 1, 61, 67, 12};
  for (const Family& family : families)
    for (int64_t pad : {0, 4}) {
      std::vector<std::vector<Tensor>> results;
      for (int threads : {1, 2, 3}) {
        Context context(with_threads(threads));
        const Context::Scope scope(context);
        const kernels::NormSets sets{family.per_set, family.over_images};
        const auto none = Activation::none, silu = Activation::silu;
        const int64_t m = family.over_images ? 1 : shape[0];
        const Tensor x = randn(shape, 1, DType::f32, pad), dy = randn(shape, 2, DType::f32, pad);
        const Tensor y = padded(shape, DType::f32, pad), dx = padded(shape, DType::f32, pad);
        const Tensor mean = Tensor::empty({m, 12}, DType::f64), rstd = Tensor::empty({m, 12}, DType::f64);
        const Tensor gamma = randn({12}, 3, DType::f32), dgamma = Tensor::empty({12}), dbeta = Tensor::empty({12});
        kernels::channel_norm_statistics(x, none, sets, mean, rstd);
        for (double& v : rstd.span<double>()) v = 1 / std::sqrt(v + 1e-5);
        kernels::channel_norm_forward(x, mean, rstd, gamma, {}, {.after = silu, .residual = dy}, y);
        kernels::channel_norm_backward(x, dy, sets, mean, rstd, gamma, {}, none, silu, false, dx, dgamma, dbeta);
        CHECK(padding_intact(y, pad));
        CHECK(padding_intact(dx, pad));
        kernels::channel_norm_backward(x, dy, sets, mean, rstd, gamma, {}, none, silu, false, dy, {}, {});
        CHECK(max_difference(dx, dy) == 0);
        results.push_back({y.clone(), dx.clone(), dgamma, dbeta, mean, rstd});
      }
      for (size_t t = 1; t < results.size(); ++t)
        for (size_t i = 0; i < results[t].size(); ++i) CHECK(max_difference(results[t][i], results[0][i]) == 0);
    }
}

TEST_CASE("norms: gradients match central differences in double, 2D and 3D, strided, with activations and residuals") {
  for (const Shape& shape : {Shape{2, 1, 3, 5, 6}, Shape{2, 3, 3, 2, 6}, Shape{1, 1, 7, 11, 6}})
    for (Activation before : {Activation::none, Activation::gelu})
      for (Activation after : {Activation::none, Activation::silu, Activation::gelu}) {
        const auto options = [&](autograd::Variable residual) {
          autograd::Epilogue o;
          o.before = before, o.after = after, o.residual = std::move(residual);
          return o;
        };
        const std::vector<Tensor> inputs{randn(shape, 1, DType::f64, 3), randn({6}, 2), randn({6}, 3),
                                         randn(shape, 4, DType::f64, 2)};
        const auto batch = [&](auto& v) { return autograd::batch_norm(v[0], v[1], v[2], {}, true, options(v[3])); };
        const auto instance = [&](auto& v) { return autograd::instance_norm(v[0], options(v[3])); };
        const auto group = [&](auto& v) { return autograd::group_norm(v[0], v[1], v[2], 2, options(v[3])); };
        const auto evaluation = [&](auto& v) {
          const autograd::RunningStatistics running{randn({6}, 5), Tensor::full({6}, 1.7, DType::f64), {}};
          return autograd::batch_norm(v[0], v[1], v[2], running, false, options(v[3]));
        };
        CAPTURE(shape);
        CHECK(autograd::gradcheck(batch, inputs).error < 1e-6);
        CHECK(autograd::gradcheck(instance, inputs).error < 1e-6);
        CHECK(autograd::gradcheck(group, inputs).error < 1e-6);
        CHECK(autograd::gradcheck(evaluation, inputs).error < 1e-6);
      }
}

TEST_CASE("batch_norm: running statistics take the unbiased variance, count batches and bump their versions") {
  const autograd::Variable x(Tensor::from<float>({2, 1, 1, 2, 1}, std::vector<float>{1, 2, 3, 6}), true);
  const autograd::Variable gamma(Tensor::full({1}, 1), true), beta(Tensor::zeros({1}), true);
  const autograd::RunningStatistics running{Tensor::full({1}, 10), Tensor::full({1}, 2), Tensor::zeros({}, DType::i64)};
  autograd::batch_norm(x, gamma, beta, running, true);
  CHECK(running.mean.span<float>()[0] == doctest::Approx(0.9 * 10 + 0.1 * 3));
  CHECK(running.variance.span<float>()[0] == doctest::Approx(0.9 * 2 + 0.1 * 14 / 3.0));
  CHECK(running.num_batches.span<int64_t>()[0] == 1);
  CHECK(running.mean.version() == 1);
  CHECK(running.variance.version() == 1);
  const Tensor y = autograd::batch_norm(x, gamma, beta, running, false).value();
  CHECK(y.data<float>()[3] == doctest::Approx((6 - 9.3) / std::sqrt(0.9 * 2 + 0.1 * 14 / 3.0 + 1e-5)));
  CHECK(running.num_batches.span<int64_t>()[0] == 1);
}

TEST_CASE("norms: wrong arguments throw and are named") {
  CHECK(error_of([] {
          kernels::reciprocal_deviation(Tensor::zeros({2, 2, 8}), 1e-5);
        }) == "[channel_norm] variance: expected [M, C] or [C], got [2, 2, 8]");
  CHECK(error_of([] {
          kernels::mean_table(Tensor::zeros({2, 8}));
        }) == "[channel_norm] mean: expected [C], got [2, 8]");
  CHECK(error_of([] { kernels::reciprocal_deviation(Tensor::zeros({8}), 0); }) ==
        "[channel_norm] eps: expected more than 0, got 0");
  using autograd::Variable;
  const Variable one(Tensor::zeros({1, 1, 1, 1, 4})), x(Tensor::zeros({2, 1, 3, 3, 4})), four(Tensor::zeros({4})),
      three(Tensor::zeros({3}));
  CHECK(error_of([&] { autograd::batch_norm(one, four, four, {}, true); }) ==
        "[batch_norm] x: expected more than one value per channel in training, got [1, 1, 1, 1, 4]");
  CHECK(error_of([&] { autograd::instance_norm(one); }) ==
        "[instance_norm] x: expected more than one pixel per image, got [1, 1, 1, 1, 4]");
  CHECK(error_of([&] { autograd::batch_norm(x, three, four, {}, true); }) ==
        "[channel_norm] gamma: expected [4], got [3]");
  CHECK(error_of([&] {
          autograd::batch_norm(x, four, four, {}, false);
        }).find("[batch_norm] running mean: expected [4]") == 0);
  CHECK(error_of([&] { autograd::group_norm(x, four, four, 3); }) ==
        "[group_norm] groups: expected a divisor of 4, got 3");
  CHECK(error_of([&] { autograd::instance_norm(three); }) == "[instance_norm] x: expected [N, D, H, W, C], got [3]");
  autograd::Epilogue options;
  options.residual = one;
  CHECK(error_of([&] { autograd::instance_norm(x, options); }) ==
        "[channel_norm] residual: expected [2, 1, 3, 3, 4], got [1, 1, 1, 1, 4]");
  CHECK(autograd::instance_norm(Variable(Tensor::zeros({0, 1, 3, 3, 4}))).shape() == Shape{0, 1, 3, 3, 4});
}
