// Every row of every op that has loops over kernels/simd, on the same numbers as the reference in double; and the same
// loops over arrays of as many lanes (Portable), whose bits the row of an instruction set must have.
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <string_view>

#include "kernels/activation/reference.h"
#include "kernels/attention/packed.h"
#include "kernels/attention/reference.h"
#include "kernels/channel_norm/reference.h"
#include "kernels/convolution/forward/bf16.h"
#include "kernels/convolution/forward/rows.h"
#include "kernels/convolution/reference.h"
#include "kernels/convolution/weight_gradient/reference.h"
#include "kernels/depthwise/reference.h"
#include "kernels/layer_norm/reference.h"
#include "kernels/max_pool/max_pool.h"
#include "kernels/max_pool/reference.h"
#include "kernels/multiscale_depthwise/reference.h"
#include "kernels/optimizer/reference.h"
#include "kernels/softmax/reference.h"
#include "kernels/up_convolution/reference.h"
#include "kernels/upsample/reference.h"
#include "kernels/upsample/upsample.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

namespace lgms::kernels {

#define LGMS_TWINS(Type, name) Type name##_twin4, name##_twin8, name##_twin16
LGMS_TWINS(ActivationForward, activation_forward);
LGMS_TWINS(ActivationBackward, activation_backward);
extern LGMS_TWINS(const ChannelNormKernels<float>, channel_norm);
LGMS_TWINS(SgdStep, sgd_step);
LGMS_TWINS(AdamWStep, adamw_step);
LGMS_TWINS(ConvolutionRun, convolution_direct);
LGMS_TWINS(ConvolutionRun, convolution_pointwise);
LGMS_TWINS(ConvolutionRun, convolution_winograd);
LGMS_TWINS(ConvolutionPack, winograd_pack);
LGMS_TWINS(CorrelationRun<float>, correlation);
LGMS_TWINS(CorrelationRun<float>, correlation_winograd);
LGMS_TWINS(CorrelationScratch, correlation_scratch);
LGMS_TWINS(CorrelationScratch, correlation_winograd_scratch);
LGMS_TWINS(DepthwiseForward, depthwise_forward);
LGMS_TWINS(DepthwiseWeightGradient, depthwise_weight_gradient);
LGMS_TWINS(MultiscaleDepthwiseForward, multiscale_depthwise_forward);
LGMS_TWINS(MultiscaleDepthwiseWeightGradient, multiscale_depthwise_weight_gradient);
LGMS_TWINS(LayerNormForward, layer_norm_forward);
LGMS_TWINS(LayerNormBackward, layer_norm_backward);
LGMS_TWINS(MaxPoolForward, max_pool_forward);
LGMS_TWINS(MaxPoolBackward, max_pool_backward);
LGMS_TWINS(SoftmaxAdd, softmax_add);
LGMS_TWINS(UpConvolutionRun, up_convolution);
LGMS_TWINS(UpsampleForward, upsample_forward);
LGMS_TWINS(UpsampleBackward, upsample_backward);
LGMS_TWINS(AttentionHeadForward, attention_head_forward);
LGMS_TWINS(AttentionHeadBackward, attention_head_backward);
#undef LGMS_TWINS
Bf16Run convolution_bf16_pairs_twin16, convolution_bf16_tiles_twin16;
UpConvolutionRun up_convolution_bf16_pairs_twin16, up_convolution_bf16_tiles_twin16;

}  // namespace lgms::kernels

// f(name_twin4, ...) and so on, with the number of lanes.
#define LGMS_FOR_TWINS(f, name) f(4, name##_twin4), f(8, name##_twin8), f(16, name##_twin16)
#define LGMS_FOR_TWIN_PAIRS(f, a, b) \
  f(4, a##_twin4, b##_twin4), f(8, a##_twin8, b##_twin8), f(16, a##_twin16, b##_twin16)

using namespace lgms::kernels;

namespace {

// each(isa, forward, backward) for every row of both lists that this machine has.
template <class Forward, class Backward, class Each>
void over_pairs(std::span<const Impl<Forward>> forward, std::span<const Impl<Backward>> backward, const Each& each) {
  for (const Impl<Forward>& f : forward)
    for (const Impl<Backward>& b : backward)
      if (f.isa == b.isa && supported(f.isa)) each(f.isa, f.run, b.run);
}

// What a row computes, and of how many terms of magnitude 1 each number is the sum: its error may be eps * terms times
// the largest of them, at least 1. kAny: not comparable.
struct Output {
  std::vector<double> values;
  double terms;
};
using Outputs = std::vector<Output>;
constexpr double kAny = std::numeric_limits<double>::infinity(), kEps = 6e-8;

template <class T>
Output output(const Tensor& t, double terms) {
  return {{t.data<T>(), t.data<T>() + t.numel()}, terms};
}

bool same(double a, double b) { return (a == b && std::signbit(a) == std::signbit(b)) || (a != a && b != b); }

// The rows of an op, each checked as it comes.
class Rows {
 public:
  explicit Rows(Outputs reference) : reference_(std::move(reference)) {}

  void row(Isa isa, const Outputs& got) {
    static constexpr int lanes[] = {0, 4, 8, 16};
    near(lanes[static_cast<int>(isa)], got);
    of_lanes_[lanes[static_cast<int>(isa)]] = got;
  }
  // After all rows.
  void twin(int lanes, const Outputs& got) {
    near(lanes, got);
    const auto row = of_lanes_.find(lanes);
    if (row == of_lanes_.end()) return;
    CAPTURE(lanes);
    for (size_t i = 0; i < got.size(); ++i) {
      int64_t differ = 0;
      for (size_t k = 0; k < got[i].values.size(); ++k) differ += !same(got[i].values[k], row->second[i].values[k]);
      CAPTURE(i);
      CHECK(differ == 0);
    }
  }

 private:
  void near(int lanes, const Outputs& got) const {
    CAPTURE(lanes);
    for (size_t i = 0; i < got.size(); ++i) {
      const std::vector<double>& want = reference_[i].values;
      double largest = 1;
      for (double v : want) largest = std::max(largest, std::abs(v));
      const double bound = kEps * got[i].terms * largest;
      int64_t far = 0;
      for (size_t k = 0; k < want.size() && got[i].terms != kAny; ++k)
        far += !same(got[i].values[k], want[k]) && !(std::abs(got[i].values[k] - want[k]) <= bound);
      CAPTURE(i);
      CHECK(far == 0);
    }
  }

  Outputs reference_;
  std::map<int, Outputs> of_lanes_;
};

template <class T>
constexpr DType type_of = std::is_same_v<T, double> ? DType::f64 : DType::f32;
template <class T>
Tensor zeros(int64_t n) {
  return Tensor::zeros({n}, type_of<T>);
}
// Of magnitude at most `most`.
template <class T>
Tensor numbers(int64_t n, uint64_t seed, float most = 1) {
  const Tensor t = zeros<T>(n);
  const std::vector<float> from = normals(n, seed);
  for (int64_t i = 0; i < n; ++i)
    t.data<T>()[i] = static_cast<T>(std::clamp(from[static_cast<size_t>(i)] / 2, -1.f, 1.f) * most);
  return t;
}
// Every third number is one that has rules of its own.
template <class T>
void make_special(const Tensor& x) {
  constexpr float numbers[] = {0.f,   -0.f, INFINITY, -INFINITY, NAN,   1e-40f, 3e38f, -3e38f, 88.f,
                               -88.f, 6.1f, -6.1f,    6.3f,      12.8f, -12.8f, 87.f,  -87.f};
  for (int64_t i = 0; i < x.numel(); i += 3) x.data<T>()[i] = static_cast<T>(numbers[i / 3 % 17]);
}

const std::vector<int64_t> channels{1, 3, 4, 5, 8, 9, 15, 16, 17, 31, 32, 47, 64, 65, 130};

}  // namespace

TEST_CASE("simd_twins: activation") {
  for (int64_t c : channels)
    for (Activation kind : {Activation::none, Activation::relu, Activation::silu, Activation::gelu})
      for (bool special : {false, true}) {
        const ActivationDims d{2, c, c + 3, c + 1, c + 2, kind};
        const auto run = [&]<class T>(T, auto forward, auto backward) -> Outputs {
          const Tensor x = numbers<T>(d.rows * d.ldx, 1, 8), dy = numbers<T>(d.rows * d.lddy, 2);
          const Tensor y = zeros<T>(d.rows * d.ldy), dx = zeros<T>(d.rows * d.ldy);
          if (special) make_special<T>(x);
          forward(d, x.data<T>(), y.data<T>());
          backward(d, x.data<T>(), dy.data<T>(), dx.data<T>());
          const double terms = special ? kAny : 16;  // 4e-7 max(1, |x|), derivatives 1e-6: tests/activation_test.cpp
          return {output<T>(y, terms), output<T>(dx, terms)};
        };
        CAPTURE(c);
        CAPTURE(name_of(kind));
        Rows rows(run(0., activation_forward_reference<double>, activation_backward_reference<double>));
        for (const ActivationImpl& impl : activation_impls())
          if (supported(impl.isa)) rows.row(impl.isa, run(0.f, impl.forward, impl.backward));
        const auto twin = [&](int lanes, auto f, auto b) { rows.twin(lanes, run(0.f, f, b)); };
        LGMS_FOR_TWIN_PAIRS(twin, activation_forward, activation_backward);
      }
}

TEST_CASE("simd_twins: channel_norm") {
  for (int64_t c : channels)
    for (int kinds = 0; kinds < 16; ++kinds) {
      const ChannelNormDims d{
          4, c, c + 3, c + 1, c + 2, static_cast<Activation>(kinds % 4), static_cast<Activation>(kinds / 4)};
      const auto run = [&]<class T>(const ChannelNormKernels<T>& kernels) -> Outputs {
        const Tensor x = numbers<T>(d.rows * d.ldx, 1), r = numbers<T>(d.rows * d.ldr, 2), table = numbers<T>(5 * c, 3);
        const T* t = table.data<T>();
        const ChannelNormCoefficients<T> k{t, t + c, t + 2 * c, t + 3 * c, t + 4 * c};
        const Tensor moments = zeros<T>(3 * c), sums = zeros<T>(2 * c), dx = zeros<T>(d.rows * d.ldy);
        const Tensor y = zeros<T>(d.rows * d.ldy), alone = zeros<T>(d.rows * d.ldy);
        kernels.moments(d, x.data<T>(), moments.data<T>());
        kernels.apply(d, k, x.data<T>(), r.data<T>(), y.data<T>());
        kernels.apply(d, k, x.data<T>(), nullptr, alone.data<T>());
        kernels.sums(d, k, x.data<T>(), r.data<T>(), sums.data<T>());
        kernels.backward(d, k, x.data<T>(), r.data<T>(), dx.data<T>());
        const double terms = 16 * 8;  // two activations and what lies between them, of numbers up to 3; 4 rows
        return {output<T>(moments, terms), output<T>(y, terms), output<T>(alone, terms), output<T>(sums, terms),
                output<T>(dx, terms)};
      };
      CAPTURE(c);
      CAPTURE(kinds);
      Rows rows(run(channel_norm_reference<double>));
      for (const ChannelNormImpl& impl : channel_norm_impls())
        if (supported(impl.isa)) rows.row(impl.isa, run(*impl.run));
      const auto twin = [&](int lanes, const ChannelNormKernels<float>& kernels) { rows.twin(lanes, run(kernels)); };
      LGMS_FOR_TWINS(twin, channel_norm);
    }
}

TEST_CASE("simd_twins: optimizer") {
  for (int64_t n : channels) {
    const auto run = [&]<class T>(T, auto sgd, auto adamw) -> Outputs {
      const Tensor g = numbers<T>(n, 1), w = numbers<T>(n, 2), v = numbers<T>(n, 3), w2 = numbers<T>(n, 4);
      const Tensor mean = numbers<T>(n, 5), square = numbers<T>(n, 6);
      for (T& s : square.template span<T>()) s *= s;
      const auto of = [](float f) { return static_cast<T>(f); };
      sgd(n, SgdFactors<T>{of(0.1f), of(0.9f), of(0.01f)}, g.data<T>(), w.data<T>(), v.data<T>());
      adamw(n, AdamWFactors<T>{of(0.99f), of(0.1f), of(0.999f), of(0.001f), of(0.02f), of(0.03f), of(1e-8f)},
            g.data<T>(), w2.data<T>(), mean.data<T>(), square.data<T>());
      return {output<T>(w, 16), output<T>(v, 16), output<T>(w2, 16), output<T>(mean, 16), output<T>(square, 16)};
    };
    CAPTURE(n);
    Rows rows(run(0., sgd_step_reference<double>, adamw_step_reference<double>));
    for (const OptimizerImpl& impl : optimizer_impls())
      if (supported(impl.isa)) rows.row(impl.isa, run(0.f, impl.sgd, impl.adamw));
    const auto twin = [&](int lanes, auto sgd, auto adamw) { rows.twin(lanes, run(0.f, sgd, adamw)); };
    LGMS_FOR_TWIN_PAIRS(twin, sgd_step, adamw_step);
  }
}

namespace {

// Of F(4, 3), whose terms are larger than those of the sum that they make, in both directions:
// tests/convolution_test.cpp.
constexpr double kWinograd = (23.7 / 3) * (23.7 / 3);

std::vector<ConvolutionDims> convolutions() {
  std::vector<ConvolutionDims> all{
      {2, 1, 9, 11, 16, 16, 1, 1, 3, 3, 17, 16},  {1, 1, 5, 31, 12, 20, 2, 1, 3, 3, 12, 20},
      {1, 1, 4, 7, 136, 40, 1, 1, 3, 3, 136, 41}, {1, 3, 3, 4, 18, 36, 1, 3, 3, 3, 18, 36},
      {1, 3, 4, 5, 32, 32, 2, 3, 3, 3, 32, 32},   {1, 1, 9, 8, 3, 5, 1, 1, 5, 5, 3, 5},
      {1, 1, 6, 1, 16, 4, 1, 1, 3, 3, 16, 4},     {2, 3, 4, 17, 32, 64, 4, 1, 1, 1, 32, 64},
      {1, 1, 3, 19, 17, 100, 1, 1, 1, 1, 17, 100}};
  for (int64_t c : channels) {
    if (c > 100) continue;
    all.push_back({1, 1, 6, 9, c, 20, 1, 1, 3, 3, c + 3, 25});
    all.push_back({1, 1, 6, 9, 18, c, 1, 1, 3, 3, 18, c + 1});
    all.push_back({1, 1, 3, 11, c, c, 1, 1, 1, 1, c + 1, c});
  }
  return all;
}

// An epilogue with everything.
template <class T>
struct Finishing {
  Tensor norm, residual;
  int64_t c;
  Finishing(int64_t pixels, int64_t of, int64_t images = 1)
      : norm(numbers<T>(images * 3 * of, 8)), residual(numbers<T>(pixels * (of + 1), 9)), c(of) {}
  Epilogue<Strided<T>> epilogue(const Tensor& bias) const {
    return {Activation::gelu, Activation::silu, {bias.data<T>()}, {norm.data<T>(), c}, {residual.data<T>(), c + 1}};
  }
};

// What a convolution is run on. coarse: numbers that bfloat16 has, so that no product is rounded.
enum class Inputs { any, coarse, special };

template <class T>
void make_coarse(const Tensor& t) {
  for (T& v : t.span<T>()) v = std::bit_cast<float>(std::bit_cast<uint32_t>(static_cast<float>(v)) & 0xffff0000);
}

template <class T>
Outputs run_forward(const ConvolutionDims& d, const ConvolutionImpl<T>& impl, Inputs inputs = Inputs::any) {
  const int64_t weights = d.cout * (d.cin / d.groups) * d.taps();
  const Tensor x = numbers<T>(d.rows() * d.ldx, 1), w = numbers<T>(weights, 2), b = numbers<T>(d.cout, 3);
  if (inputs == Inputs::coarse) make_coarse<T>(x), make_coarse<T>(w);
  if (inputs == Inputs::special) make_special<T>(x), make_special<T>(w);
  const Tensor y = zeros<T>(d.rows() * d.ldy),
               moments = zeros<T>(3 * d.n * std::max<int64_t>(1, impl.blocks(d)) * d.cout);
  const Finishing<T> after(d.rows(), d.cout), before(d.rows(), d.cin, d.n);
  Fusing<T> fusing{.epilogue = after.epilogue(b)};
  const bool through = d.taps() == 1 && inputs != Inputs::coarse;
  if (through) fusing.prologue = {.after = Activation::silu, .norm = {before.norm.template data<T>(), d.cin}};
  if (impl.blocks(d) > 0) fusing.moments = moments.data<T>();
  const PreparedConvolution<T> p = prepare(d, impl, Context::current());
  const Tensor packed = zeros<T>(p.packed_bytes / int64_t{sizeof(T)}),
               scratch = zeros<T>(p.scratch_bytes / int64_t{sizeof(T)});
  pack(p, forward_weights<T>(d, w.data<T>()), packed.data<T>());
  for (int64_t unit = 0; unit < p.units; ++unit) {
    std::memset(scratch.data<T>(), 0xff, static_cast<size_t>(p.scratch_bytes));  // nan, which no unit may read
    impl.run(d, unit, unit + 1, x.data<T>(), packed.data<T>(), fusing, y.data<T>(), scratch.data<T>());
  }
  const int64_t products = weights / d.cout;
  const double terms = static_cast<double>(products + 1);
  const double coarser = impl.rounding == Rounding::transformed ? kWinograd : 1;
  return {output<T>(y, inputs == Inputs::special ? kAny : terms * coarser * (through ? 16 : 1))};
}

// The rows of one kind, and its twins.
void compare_convolutions(std::string_view kind, bool (*accepts)(const ConvolutionDims&),
                          const std::function<ConvolutionImpl<float>(int lanes)>& twin) {
  for (const ConvolutionDims& d : convolutions()) {
    if (!accepts(d)) continue;
    CAPTURE(d.cin);
    CAPTURE(d.cout);
    CAPTURE(d.kd);
    Rows rows(run_forward(d, convolution_reference_impl<double>));
    for (const ConvolutionImpl<float>& impl : convolution_impls())
      if (supported(impl.isa) && std::string_view(impl.name).starts_with(kind))
        rows.row(impl.isa, run_forward(d, impl));
    for (int lanes : {4, 8, 16}) rows.twin(lanes, run_forward(d, twin(lanes)));
  }
}

template <class T>
T of_lanes(int lanes, T four, T eight, T sixteen) {
  return lanes == 4 ? four : lanes == 8 ? eight : sixteen;
}
#define LGMS_OF_LANES(lanes, name) of_lanes(lanes, name##_twin4, name##_twin8, name##_twin16)

}  // namespace

TEST_CASE("simd_twins: convolution, direct") {
  compare_convolutions("direct", direct_accepts, [](int lanes) {
    return of_lanes(lanes, direct_row<4>("twin", Isa::generic, convolution_direct_twin4),
                    direct_row<8>("twin", Isa::generic, convolution_direct_twin8),
                    direct_row<16>("twin", Isa::generic, convolution_direct_twin16));
  });
}

TEST_CASE("simd_twins: convolution, 1x1") {
  compare_convolutions("pointwise", pointwise_accepts, [](int lanes) {
    return of_lanes(lanes, pointwise_row<4>("twin", Isa::generic, convolution_pointwise_twin4),
                    pointwise_row<8>("twin", Isa::generic, convolution_pointwise_twin8),
                    pointwise_row<16>("twin", Isa::generic, convolution_pointwise_twin16));
  });
}

TEST_CASE("simd_twins: convolution, Winograd") {
  compare_convolutions("winograd", winograd_accepts, [](int lanes) {
    return of_lanes(lanes, winograd_row<4>("twin", Isa::generic, winograd_pack_twin4, convolution_winograd_twin4),
                    winograd_row<8>("twin", Isa::generic, winograd_pack_twin8, convolution_winograd_twin8),
                    winograd_row<16>("twin", Isa::generic, winograd_pack_twin16, convolution_winograd_twin16));
  });
}

TEST_CASE("simd_twins: convolution, bfloat16") {
  std::vector<ConvolutionDims> all = convolutions();
  all.push_back({2, 1, 1, 1, 70, 33, 1, 1, 1, 1, 70, 33});
  all.push_back({1, 1, 3, 131, 3, 16, 1, 1, 3, 3, 3, 16});
  all.push_back({1, 1, 9, 12, 20, 16, 1, 1, 3, 3, 20, 16});
  all.push_back({1, 9, 8, 35, 32, 40, 2, 3, 3, 3, 33, 41});
  all.push_back({1, 2, 4, 18, 8, 17, 1, 3, 5, 7, 8, 17});
  for (const ConvolutionDims& d : all) {
    CAPTURE(d.cin);
    CAPTURE(d.cout);
    CAPTURE(d.kd);
    CAPTURE(d.kw);
    const Outputs want = run_forward(d, convolution_reference_impl<double>, Inputs::coarse);
    for (const ConvolutionImpl<float>& twin :
         {bf16_row("twin", Precision::bf16_pairs, bf16_tiles_accepts, convolution_bf16_pairs_twin16),
          bf16_row("twin", Precision::bf16_tiles, bf16_tiles_accepts, convolution_bf16_tiles_twin16)}) {
      CAPTURE(std::string(name_of(twin.precision)));
      for (const Inputs inputs : {Inputs::coarse, Inputs::any, Inputs::special}) {
        const Outputs got = run_forward(d, twin, inputs);
        Rows rows(inputs == Inputs::coarse ? want : got);
        for (const ConvolutionImpl<float>& impl : convolution_bf16_impls())
          if (impl.precision == twin.precision && supported(impl.precision))
            rows.row(impl.isa, run_forward(d, impl, inputs));
        rows.twin(16, got);
      }
    }
  }
}

TEST_CASE("simd_twins: convolution_weight_gradient") {
  std::vector<CorrelationDims> all{
      {2, 1, 13, 19, 16, 16, 16, 16, 16, 1, 3, 3},    {1, 5, 6, 7, 16, 24, 17, 24, 16, 3, 3, 3},
      {1, 1, 12, 17, 100, 40, 100, 41, 112, 1, 3, 3}, {1, 1, 9, 8, 3, 5, 3, 5, 16, 1, 5, 5},
      {2, 3, 4, 17, 32, 64, 32, 64, 32, 1, 1, 1},     {1, 1, 5, 130, 70, 33, 70, 33, 80, 1, 3, 3}};
  for (int64_t c : channels) all.push_back({1, 1, 9, 7, c, 20, c + 1, 21, (c + 15) / 16 * 16, 1, 3, 3});
  for (const CorrelationDims& d : all)
    for (bool winograd : {false, true}) {
      const auto run = [&]<class T>(T, CorrelationRun<T>* correlate, int64_t scratch_size) -> Outputs {
        const int64_t pixels = d.n * d.d * d.h * d.w;
        const Tensor a = numbers<T>(pixels * d.lda, 1), b = numbers<T>(pixels * d.ldb, 2);
        const Tensor p = zeros<T>(d.taps() * d.cb * d.ldp), sum_a = zeros<T>(d.ca), sum_b = zeros<T>(d.cb);
        const Tensor scratch = zeros<T>(scratch_size);
        correlate(d, 0, correlation_units(d), a.data<T>(), b.data<T>(), {p.data<T>(), sum_a.data<T>(), sum_b.data<T>()},
                  scratch.data<T>());
        Output of_p{{}, static_cast<double>(pixels) * (winograd ? kWinograd : 1)};
        for (int64_t row = 0; row < d.taps() * d.cb; ++row)  // what lies between ca and ldp may be anything
          of_p.values.insert(of_p.values.end(), p.data<T>() + row * d.ldp, p.data<T>() + row * d.ldp + d.ca);
        const double terms = static_cast<double>(pixels);
        return {of_p, output<T>(sum_a, terms), output<T>(sum_b, terms)};
      };
      CAPTURE(d.ca);
      CAPTURE(d.cb);
      CAPTURE(winograd);
      Rows rows(run(0., correlation_reference<double>, 0));
      bool accepted = !winograd;
      for (const CorrelationImpl& impl : correlation_impls())
        if (std::string_view(impl.name).starts_with("winograd") == winograd && impl.accepts(d)) {
          accepted = true;
          if (supported(impl.isa)) rows.row(impl.isa, run(0.f, impl.run, impl.scratch(d)));
        }
      for (int lanes : {4, 8, 16}) {
        if (!accepted) continue;
        if (winograd)
          rows.twin(lanes, run(0.f, LGMS_OF_LANES(lanes, correlation_winograd),
                               LGMS_OF_LANES(lanes, correlation_winograd_scratch)(d)));
        else
          rows.twin(lanes, run(0.f, LGMS_OF_LANES(lanes, correlation), LGMS_OF_LANES(lanes, correlation_scratch)(d)));
      }
    }
}

TEST_CASE("simd_twins: depthwise") {
  std::vector<DepthwiseDims> all{{2, 3, 4, 5, 17, 3, 3, 3, 17, 18},
                                 {1, 2, 3, 9, 8, 1, 3, 3, 8, 8},
                                 {2, 1, 6, 2, 33, 1, 1, 1, 33, 34},
                                 {1, 3, 2, 5, 16, 1, 1, 1, 16, 16},
                                 {1, 1, 1, 1, 5, 3, 3, 3, 5, 5}};
  for (int64_t c : channels) all.push_back({1, 1, 5, 7, c, 1, 3, 3, c + 3, c + 1});
  for (const DepthwiseDims& d : all) {
    const auto run = [&]<class T>(T, auto forward, auto gradient) -> Outputs {
      const int64_t lines = d.n * d.d * d.h, rows = lines * d.w, taps = d.kd * d.kh * d.kw;
      const Tensor x = numbers<T>(rows * d.ldx, 1), dy = numbers<T>(rows * d.ldy, 2);
      const Tensor w = numbers<T>(taps * d.c, 3), b = numbers<T>(d.c, 4);
      const Tensor y = zeros<T>(rows * d.ldy), dw = zeros<T>((taps + 1) * d.c);
      const Finishing<T> finishing(rows, d.c);
      forward(d, 0, lines, x.data<T>(), w.data<T>(), finishing.epilogue(b), y.data<T>());
      gradient(d, 0, lines, x.data<T>(), dy.data<T>(), dw.data<T>());
      return {output<T>(y, static_cast<double>(taps + 1)), output<T>(dw, static_cast<double>(rows))};
    };
    CAPTURE(d.c);
    CAPTURE(d.kw);
    Rows rows(run(0., depthwise_forward_reference<double>, depthwise_weight_gradient_reference<double>));
    over_pairs(depthwise_forward_impls(), depthwise_weight_gradient_impls(),
               [&](Isa isa, auto* forward, auto* backward) { rows.row(isa, run(0.f, forward, backward)); });
    const auto twin = [&](int lanes, auto f, auto g) { rows.twin(lanes, run(0.f, f, g)); };
    LGMS_FOR_TWIN_PAIRS(twin, depthwise_forward, depthwise_weight_gradient);
  }
}

TEST_CASE("simd_twins: multiscale_depthwise") {
  for (const MultiscaleDepthwiseDims& d : {MultiscaleDepthwiseDims{1, 1, 9, 17, 16, false, true, 17, 18},
                                           {1, 1, 3, 2, 8, false, true, 8, 8},
                                           {1, 1, 21, 33, 12, false, false, 12, 12},
                                           {1, 3, 4, 5, 8, true, true, 8, 8},
                                           {1, 5, 6, 18, 16, true, false, 16, 17}}) {
    const auto run = [&]<class T>(T, auto forward, auto gradient) -> Outputs {
      const int64_t rows = d.n * d.d * d.h * d.w, g = d.c / 4;
      const auto taps = [&](int64_t q) { return (3 + 2 * q) * (3 + 2 * q) * (d.volume ? 3 + 2 * q : 1); };
      const auto all = [&](const Tensor& t,
                           int64_t j) {  // channel j of weights [g, taps], quarter by quarter, then biases
        MultiscaleDepthwiseParameters<T> p;
        T* at = t.data<T>();
        for (int64_t q = 0; q < 4; at += g * taps(q++)) p.weight[q] = at + j * taps(q);
        for (int64_t q = 0; q < 4; ++q) p.bias[q] = at + q * g + j;
        return p;
      };
      const int64_t parameters = g * (taps(0) + taps(1) + taps(2) + taps(3) + 4);
      const Tensor x = numbers<T>(rows * d.ldx, 1), dy = numbers<T>(rows * d.ldy, 2), w = numbers<T>(parameters, 3);
      const Tensor y = zeros<T>(rows * d.ldy), dw = zeros<T>(parameters);
      const Tensor scratch = zeros<T>(multiscale_depthwise_scratch(d));
      for (int64_t q = 0; q < 4; q += d.volume ? 1 : 4)
        for (int64_t j = 0; j < g; j += 4) {
          const MultiscaleDepthwiseUnit u{0, 0, d.d, 0, d.h, q, q + (d.volume ? 1 : 4), j, std::min<int64_t>(4, g - j)};
          MultiscaleDepthwiseParameters<const T> constant;
          const MultiscaleDepthwiseParameters<T> from = all(w, j);
          for (int i = 0; i < 4; ++i) constant.weight[i] = from.weight[i], constant.bias[i] = from.bias[i];
          forward(d, u, x.data<T>(), constant, y.data<T>(), scratch.data<T>());
          gradient(d, u, x.data<T>(), dy.data<T>(), all(dw, j), scratch.data<T>());
        }
      return {output<T>(y, static_cast<double>(taps(3) + 2)), output<T>(dw, static_cast<double>(rows))};
    };
    CAPTURE(d.h);
    CAPTURE(d.w);
    Rows rows(run(0., multiscale_depthwise_forward_reference<double>,
                  multiscale_depthwise_weight_gradient_reference<double>));
    over_pairs(multiscale_depthwise_forward_impls(), multiscale_depthwise_weight_gradient_impls(),
               [&](Isa isa, auto* forward, auto* backward) { rows.row(isa, run(0.f, forward, backward)); });
    const auto twin = [&](int lanes, auto f, auto g) { rows.twin(lanes, run(0.f, f, g)); };
    LGMS_FOR_TWIN_PAIRS(twin, multiscale_depthwise_forward, multiscale_depthwise_weight_gradient);
  }
}

TEST_CASE("simd_twins: layer_norm") {
  for (int64_t c : channels) {
    const LayerNormDims d{4, c, c + 3, c + 2, c + 1, 1e-5};
    const auto run = [&]<class T>(T, auto forward, auto backward) -> Outputs {
      const Tensor x = numbers<T>(d.rows * d.ldx, 1), dy = numbers<T>(d.rows * d.lddy, 2);
      const Tensor gamma = numbers<T>(c, 3), beta = numbers<T>(c, 4), dgamma = zeros<T>(c), dbeta = zeros<T>(c);
      const Tensor y = zeros<T>(d.rows * d.ldy), dx = zeros<T>(d.rows * d.ldy);
      forward(d, x.data<T>(), gamma.data<T>(), beta.data<T>(), y.data<T>());
      backward(d, x.data<T>(), gamma.data<T>(), dy.data<T>(), dx.data<T>(), dgamma.data<T>(), dbeta.data<T>());
      const double terms = 8. * static_cast<double>(c + 8);  // as tests/layer_norm_test.cpp
      return {output<T>(y, terms), output<T>(dx, terms), output<T>(dgamma, terms), output<T>(dbeta, terms)};
    };
    CAPTURE(c);
    Rows rows(run(0., layer_norm_forward_reference<double>, layer_norm_backward_reference<double>));
    over_pairs(layer_norm_forward_impls(), layer_norm_backward_impls(),
               [&](Isa isa, auto* forward, auto* backward) { rows.row(isa, run(0.f, forward, backward)); });
    const auto twin = [&](int lanes, auto f, auto b) { rows.twin(lanes, run(0.f, f, b)); };
    LGMS_FOR_TWIN_PAIRS(twin, layer_norm_forward, layer_norm_backward);
  }
}

TEST_CASE("simd_twins: max_pool") {
  for (int64_t c : channels)
    for (int64_t taps : {4, 8})
      for (bool special : {false, true}) {
        MaxPoolLine l{5, c, c + 3, c + 1, taps, {}};
        for (int64_t t = 0; t < taps; ++t) l.offset[t] = (t % 2 + t / 2 % 2 * 11 + t / 4 * 33) * l.ldx;
        const auto run = [&]<class T>(T, auto forward, auto backward) -> Outputs {
          const int64_t size = l.offset[taps - 1] + 2 * l.outputs * l.ldx;
          const Tensor x = numbers<T>(size, 1), dy = numbers<T>(l.outputs * l.ldy, 2);
          if (special) make_special<T>(x);
          const Tensor y = zeros<T>(l.outputs * l.ldy), dx = zeros<T>(size);
          std::vector<uint8_t> index(static_cast<size_t>(l.outputs * c));
          forward(l, x.data<T>(), y.data<T>(), index.data());
          backward(l, dy.data<T>(), index.data(), dx.data<T>());
          return {output<T>(y, special ? kAny : 0), output<T>(dx, 0), {{index.begin(), index.end()}, 0}};
        };
        CAPTURE(c);
        CAPTURE(taps);
        CAPTURE(special);
        Rows rows(run(0., max_pool_forward_reference<double>, max_pool_backward_reference<double>));
        over_pairs(max_pool_forward_impls(), max_pool_backward_impls(),
                   [&](Isa isa, auto* forward, auto* backward) { rows.row(isa, run(0.f, forward, backward)); });
        const auto twin = [&](int lanes, auto f, auto b) { rows.twin(lanes, run(0.f, f, b)); };
        LGMS_FOR_TWIN_PAIRS(twin, max_pool_forward, max_pool_backward);
      }
}

TEST_CASE("simd_twins: softmax") {
  for (int64_t c : channels) {
    const SoftmaxDims d{5, c, c + 3, c + 1, 0.5f};
    const auto run = [&]<class T>(T, auto add) -> Outputs {
      const Tensor x = numbers<T>(d.rows * d.ldx, 1), weight = numbers<T>(d.rows, 2), y = numbers<T>(d.rows * d.ldy, 3);
      add(d, x.data<T>(), weight.data<T>(), y.data<T>(), zeros<T>(softmax_scratch(d.rows, c)).template data<T>());
      return {output<T>(y, 8. * static_cast<double>(c + 8))};
    };
    CAPTURE(c);
    Rows rows(run(0., softmax_add_reference<double>));
    for (const auto& impl : softmax_add_impls())
      if (supported(impl.isa)) rows.row(impl.isa, run(0.f, impl.run));
    const auto twin = [&](int lanes, auto add) { rows.twin(lanes, run(0.f, add)); };
    LGMS_FOR_TWINS(twin, softmax_add);
  }
}

TEST_CASE("simd_twins: up_convolution") {
  for (const UpConvolutionDims& d : {UpConvolutionDims{1, 1, 5, 7, 9, 20, false, 11, 23},
                                     {2, 1, 18, 3, 4, 8, false, 4, 8},
                                     {1, 1, 1, 1, 3, 5, false, 3, 5},
                                     {1, 4, 9, 2, 6, 17, true, 6, 17}}) {
    const int64_t rows_in = d.n * d.d * d.h * d.w, rows_out = rows_in * (d.volume ? 8 : 4),
                  moments_size = up_convolution_units(d) * 3 * d.cout;
    const Finishing<float> after(rows_out, d.cout);
    const Finishing<double> after_double(rows_out, d.cout);
    const double terms = 16. * static_cast<double>(d.cin * d.taps() + 12);
    CAPTURE(d.cout);
    CAPTURE(d.volume);
    const auto exact = [&](Inputs inputs) -> Outputs {
      const Tensor x = numbers<double>(rows_in * d.ldx, 1), w = numbers<double>(d.cout * d.cin * d.taps(), 2),
                   b = numbers<double>(d.cout, 3), y = zeros<double>(rows_out * d.ldy),
                   packed = zeros<double>(w.numel());
      if (inputs == Inputs::coarse) make_coarse<double>(x), make_coarse<double>(w);
      for (int64_t o = 0; o < d.cout; ++o)
        for (int64_t i = 0; i < d.cin; ++i)
          for (int64_t t = 0; t < d.taps(); ++t)
            packed.data<double>()[(t * d.cout + o) * d.cin + i] = w.data<double>()[(o * d.cin + i) * d.taps() + t];
      up_convolution_reference<double>(d, 0, up_convolution_units(d), x.data<double>(), packed.data<double>(),
                                       {.epilogue = after_double.epilogue(b)}, y.data<double>(), nullptr);
      return {output<double>(y, terms), {{}, 0}};
    };
    const auto run = [&](const UpConvolutionImpl& impl, Inputs inputs = Inputs::any) -> Outputs {
      const PreparedUpConvolution p = prepare(d, impl, Context::current());
      const Tensor x = numbers<float>(rows_in * d.ldx, 1), w = numbers<float>(d.cout * d.cin * d.taps(), 2),
                   b = numbers<float>(d.cout, 3), y = zeros<float>(rows_out * d.ldy),
                   packed = zeros<float>(p.packed_bytes / 4), scratch = zeros<float>(p.scratch_bytes / 4),
                   moments = zeros<float>(moments_size);
      if (inputs == Inputs::coarse) make_coarse<float>(x), make_coarse<float>(w);
      pack(p, w.data<float>(), packed.data<float>());
      kernels::run(p, x.data<float>(), packed.data<float>(),
                   {.epilogue = after.epilogue(b), .moments = moments.data<float>()}, y.data<float>(),
                   scratch.data<float>());
      return {output<float>(y, terms), output<float>(moments, kAny)};
    };
    Rows rows(exact(Inputs::any));
    for (const UpConvolutionImpl& impl : up_convolution_impls())
      if (supported(impl.isa) && impl.isa != Isa::reference) rows.row(impl.isa, run(impl));
    const auto twin = [&](int lanes, UpConvolutionRun* f) {
      rows.twin(lanes, run({"twin", Device::cpu, Isa::generic, lanes, f}));
    };
    LGMS_FOR_TWINS(twin, up_convolution);

    for (const UpConvolutionImpl& bf16 :
         {UpConvolutionImpl{"twin", Device::cpu, Isa::generic, 16, up_convolution_bf16_pairs_twin16,
                            Precision::bf16_pairs},
          {"twin", Device::cpu, Isa::generic, 16, up_convolution_bf16_tiles_twin16, Precision::bf16_tiles}})
      for (const Inputs inputs : {Inputs::coarse, Inputs::any}) {
        const Outputs got = run(bf16, inputs);
        Rows coarse(inputs == Inputs::coarse ? exact(inputs) : got);
        for (const UpConvolutionImpl& impl : up_convolution_bf16_impls())
          if (impl.precision == bf16.precision && supported(impl.precision)) coarse.row(impl.isa, run(impl, inputs));
        coarse.twin(16, got);
      }
  }
}

TEST_CASE("simd_twins: upsample") {
  for (int64_t c : channels)
    for (int64_t w : {1, 5})
      for (int64_t rank : {2, 3}) {
        UpsampleLine up{w, c, c + 3, c + 1, rank == 2 ? 2 : 4, {}, {}};
        UpsampleLine down{w, c, c + 1, c + 3, rank == 2 ? 4 : 16, {}, {}};
        for (int64_t k = 0; k < 16; ++k) {
          up.offset[k] = k * w * up.ldx;
          down.offset[k] = k * 2 * w * down.ldy;
          up.weight[k] = down.weight[k] = k % 3 ? 0.25f : 0.75f;
        }
        const auto run = [&]<class T>(T, auto forward, auto backward) -> Outputs {
          const Tensor x = numbers<T>(16 * w * up.ldx, 1), dy = numbers<T>(32 * w * down.ldy, 2);
          const Tensor y = zeros<T>(2 * w * up.ldy), dx = zeros<T>(w * down.ldx);
          forward(up, x.data<T>(), y.data<T>());
          backward(down, dy.data<T>(), dx.data<T>());
          return {output<T>(y, 8), output<T>(dx, 2 * 16 + 4)};
        };
        CAPTURE(c);
        CAPTURE(w);
        CAPTURE(rank);
        Rows rows(run(0., upsample_forward_reference<double>, upsample_backward_reference<double>));
        over_pairs(upsample_forward_impls(), upsample_backward_impls(),
                   [&](Isa isa, auto* forward, auto* backward) { rows.row(isa, run(0.f, forward, backward)); });
        const auto twin = [&](int lanes, auto f, auto b) { rows.twin(lanes, run(0.f, f, b)); };
        LGMS_FOR_TWIN_PAIRS(twin, upsample_forward, upsample_backward);
      }
}

TEST_CASE("simd_twins: attention") {
  for (const AttentionDims& d : {AttentionDims{1, 1, 2, 2, 1, 1, 24, 8, 8, 24},
                                 {2, 1, 4, 6, 2, 1, 49, 17, 18, 50},
                                 {1, 1, 8, 8, 2, 1, 48, 16, 16, 48},
                                 {1, 1, 10, 14, 1, 1, 24, 8, 8, 24},
                                 {1, 4, 4, 4, 2, 2, 48, 16, 16, 48}})
    for (float most : {1.f, 8.f}) {  // 8: scores that raise the shift, and far ones that vanish
      const auto run = [&]<class T>(T, auto forward, auto backward) -> Outputs {
        const int64_t rows = d.n * d.d * d.h * d.w;
        const Tensor qkv = numbers<T>(rows * d.ldqkv, 1, most), dy = numbers<T>(rows * d.lddy, 2);
        const Tensor y = zeros<T>(rows * d.ldy), statistics = zeros<T>(rows * 2 * d.heads);
        const Tensor dqkv = zeros<T>(rows * d.lddqkv), scratch = zeros<T>(attention_scratch(d));
        forward(d, 0, d.units(), qkv.data<T>(), y.data<T>(), statistics.data<T>(), scratch.data<T>());
        backward(d, 0, d.units(), qkv.data<T>(), y.data<T>(), statistics.data<T>(), dy.data<T>(), dqkv.data<T>(),
                 scratch.data<T>());
        // The rounding error of a score is the relative error of p. Each row picks its own shift.
        const double terms = 64 + 4 * 8 * most * most / std::sqrt(8.);
        return {output<T>(y, terms), output<T>(dqkv, terms), output<T>(statistics, kAny)};
      };
      CAPTURE(d.h);
      CAPTURE(d.w);
      CAPTURE(most);
      Rows rows(run(0., attention_forward_reference<double>, attention_backward_reference<double>));
      over_pairs(attention_forward_impls(), attention_backward_impls(),
                 [&](Isa isa, auto* forward, auto* backward) { rows.row(isa, run(0.f, forward, backward)); });
      const auto twin = [&](int lanes, AttentionHeadForward* f, AttentionHeadBackward* b) {
        rows.twin(lanes, run(
                             0.f, [&](auto... of) { attention_forward_packed(of..., f); },
                             [&](auto... of) { attention_backward_packed(of..., b); }));
      };
      LGMS_FOR_TWIN_PAIRS(twin, attention_head_forward, attention_head_backward);
    }
}
