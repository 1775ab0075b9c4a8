#include "kernels/multiscale_depthwise/multiscale_depthwise.h"

#include <vector>

#include "kernels/multiscale_depthwise/reference.h"

namespace lgms::kernels {
namespace {

using Dims = MultiscaleDepthwiseDims;
using Unit = MultiscaleDepthwiseUnit;

constexpr Impl<MultiscaleDepthwiseForward> forward_impls[] = {
#if LGMS_X86
    {"avx512", Isa::avx512, multiscale_depthwise_forward_avx512},
    {"avx2", Isa::avx2, multiscale_depthwise_forward_avx2},
#endif
    {"generic", Isa::generic, multiscale_depthwise_forward_generic},
    {"reference", Isa::reference, multiscale_depthwise_forward_reference<float>}};
constexpr Impl<MultiscaleDepthwiseWeightGradient> weight_gradient_impls[] = {
#if LGMS_X86
    {"avx512", Isa::avx512, multiscale_depthwise_weight_gradient_avx512},
    {"avx2", Isa::avx2, multiscale_depthwise_weight_gradient_avx2},
#endif
    {"generic", Isa::generic, multiscale_depthwise_weight_gradient_generic},
    {"reference", Isa::reference, multiscale_depthwise_weight_gradient_reference<float>}};

// Strips of 48 rows of one slice, or of 24 rows of 8 slices: multiples of both tile heights (8 and 6 rows), small
// enough that a strip's planes stay in the L2 cache.
int64_t strip_rows(const Dims& d) { return d.volume ? 24 : 48; }
int64_t strip_slices(const Dims& d) { return d.volume ? 8 : 1; }

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t strips_of(const Dims& d) { return d.n * divide_up(d.d, strip_slices(d)) * divide_up(d.h, strip_rows(d)); }
int64_t quads_of_quarter(const Dims& d) { return divide_up(d.c / 4, 4); }
int64_t taps_of(const Dims& d, int64_t quarter) {
  const int64_t k = 3 + 2 * quarter;
  return k * k * (d.volume ? k : 1);
}

// Units: strip after strip, within a strip the quads (of channels) of all four quarters.
Unit unit_of(const Dims& d, int64_t strip, int64_t quad) {
  const int64_t down = std::max<int64_t>(1, divide_up(d.h, strip_rows(d)));
  const int64_t deep = std::max<int64_t>(1, divide_up(d.d, strip_slices(d)));
  const int64_t y0 = strip % down * strip_rows(d), z0 = strip / down % deep * strip_slices(d);
  const int64_t quarter = quad / quads_of_quarter(d), in_quarter = quad % quads_of_quarter(d) * 4, g = d.c / 4;
  return {strip / down / deep,
          z0,
          std::min(z0 + strip_slices(d), d.d),
          y0,
          std::min(y0 + strip_rows(d), d.h),
          quarter * g + in_quarter,
          std::min<int64_t>(4, g - in_quarter),
          3 + 2 * quarter};
}

// All four weights, then all four biases, one after another: where quarter q's weights and the channel's bias are.
struct Parameters {
  int64_t g, weights[5];
  explicit Parameters(const Dims& d) : g(d.c / 4), weights{} {
    for (int64_t q = 0; q < 4; ++q) weights[q + 1] = weights[q] + g * taps_of(d, q);
  }
  int64_t size() const { return weights[4] + 4 * g; }
  int64_t weight(const Dims& d, const Unit& u) const {
    const int64_t q = u.c0 / g;
    return weights[q] + (u.c0 - q * g) * taps_of(d, q);
  }
  int64_t bias(const Unit& u) const { return weights[4] + u.c0; }
};

void expect_quarters(const char* op, const TensorView& x, const Quarters& weights, const Quarters& biases) {
  const int64_t c = x.channels(), rank = weights[0].shape().rank();
  check(c > 0 && c % 4 == 0, ErrorKind::usage, "[", op, "] x: expected a multiple of 4 channels, got ", x.shape());
  for (size_t q = 0; q < 4; ++q) {
    const int64_t k = 3 + 2 * static_cast<int64_t>(q);
    const std::string name = text("weights[", q, "]");
    expect_shape(op, name.c_str(), weights[q], rank == 5 ? Shape{c / 4, 1, k, k, k} : Shape{c / 4, 1, k, k});
    expect_type(op, name.c_str(), weights[q], x.dtype());
    check(weights[q].is_dense(), ErrorKind::usage, "[", op, "] ", name, ": expected a dense tensor");
    if (!biases[q].defined()) continue;
    expect_shape(op, text("biases[", q, "]").c_str(), biases[q], {c / 4});
    expect_type(op, text("biases[", q, "]").c_str(), biases[q], x.dtype());
  }
}

Dims dims_of(const char* op, const TensorView& x, const Quarters& weights, const Quarters& biases, bool residual,
             const char* y_name, const TensorView& y) {
  expect_activations(op, "x", x);
  expect_quarters(op, x, weights, biases);
  expect_shape(op, y_name, y, x.shape());
  expect_type(op, y_name, y, x.dtype());
  const Shape& s = x.shape();
  return {s[0], s[1], s[2], s[3], s[4], weights[0].shape().rank() == 5, residual, x.row_stride(), y.row_stride()};
}

template <class T>
void run_forward(const Dims& d, bool turned, const TensorView& x, const Quarters& weights, const Quarters& biases,
                 const TensorView& y, MultiscaleDepthwiseForwardOf<T>* run) {
  const Parameters at(d);
  Context& context = Context::current();
  const Scratch parameters(context.allocator(), at.size() * size_of(x.dtype()));
  T* p = parameters.as<T>();
  for (size_t q = 0; q < 4; ++q) {
    const T* w = weights[q].data<T>();
    const int64_t taps = taps_of(d, static_cast<int64_t>(q));
    for (int64_t c = 0; c < at.g; ++c)
      for (int64_t t = 0; t < taps; ++t) p[at.weights[q] + c * taps + t] = w[c * taps + (turned ? taps - 1 - t : t)];
    T* bias = p + at.weights[4] + static_cast<int64_t>(q) * at.g;
    if (biases[q].defined())
      std::copy_n(biases[q].data<T>(), at.g, bias);
    else
      std::fill_n(bias, at.g, T{0});
  }
  const int64_t each = multiscale_depthwise_scratch(d), quads = 4 * quads_of_quarter(d);
  const Scratch scratch(context.allocator(), each * context.threads() * size_of(x.dtype()));
  parallel_ranges(strips_of(d) * quads, 1, [&](int64_t first, int64_t last, int worker) {
    for (int64_t i = first; i < last; ++i) {
      const Unit u = unit_of(d, i / quads, i % quads);
      run(d, u, x.data<T>(), p + at.weight(d, u), p + at.bias(u), y.data<T>(), scratch.as<T>() + worker * each);
    }
  });
}

template <class T>
void run_weight_gradient(const Dims& d, const TensorView& x, const TensorView& dy, const Quarters& dweights,
                         const Quarters& dbiases, MultiscaleDepthwiseWeightGradientOf<T>* run) {
  const Parameters at(d);
  Context& context = Context::current();
  // A piece of work is one quad of channels of one block of strips, so that there are enough of them in one image.
  const int64_t each = multiscale_depthwise_scratch(d), quads = 4 * quads_of_quarter(d), size = at.size();
  const Blocks blocks = blocks_of(strips_of(d), 1, std::clamp<int64_t>(2000000 / size, 16, 128));
  const Scratch scratch(context.allocator(), each * context.threads() * size_of(x.dtype()));
  const Scratch sums(context.allocator(), blocks.count * size * size_of(x.dtype()));
  T* partials = sums.as<T>();
  context.parallel(blocks.count * quads, [&](int64_t piece, int worker) {
    const int64_t block = piece / quads, quad = piece % quads;
    const Unit any = unit_of(d, 0, quad);
    T* dweight = partials + block * size + at.weight(d, any);
    T* dbias = partials + block * size + at.bias(any);
    std::fill_n(dweight, any.channels * taps_of(d, quad / quads_of_quarter(d)), T{0});
    std::fill_n(dbias, any.channels, T{0});
    for (int64_t strip = blocks.first(block); strip < blocks.last(block); ++strip)
      run(d, unit_of(d, strip, quad), x.data<T>(), dy.data<T>(), dweight, dbias, scratch.as<T>() + worker * each);
  });
  parallel_ranges(size, 4096, [&](int64_t first, int64_t last, int) {
    for (int64_t block = 1; block < blocks.count; ++block)
      for (int64_t i = first; i < last; ++i) partials[i] += partials[block * size + i];
  });
  for (size_t q = 0; q < 4; ++q) {
    std::copy_n(partials + at.weights[q], at.weights[q + 1] - at.weights[q], dweights[q].data<T>());
    if (dbiases[q].defined())
      std::copy_n(partials + at.weights[4] + static_cast<int64_t>(q) * at.g, at.g, dbiases[q].data<T>());
  }
}

}  // namespace

// Planes of four channels of x with a halo of 4 and of dy, rows padded by up to 63 floats and slices by 16; tiles of
// all slices; the sums of the largest kernel.
int64_t multiscale_depthwise_scratch(const Dims& d) {
  const int64_t slices = d.volume ? std::min(d.d, strip_slices(d) + 8) : 1;
  const int64_t rows = std::min(divide_up(d.h, 24) * 24, strip_rows(d)) + 8;
  return 2 * 4 * slices * (rows * (d.w + 64) + 16) + strip_slices(d) * 4 * 8 * 32 + 9 * 9 * 9 * 16 + 64;
}

std::span<const Impl<MultiscaleDepthwiseForward>> multiscale_depthwise_forward_impls() { return forward_impls; }
std::span<const Impl<MultiscaleDepthwiseWeightGradient>> multiscale_depthwise_weight_gradient_impls() {
  return weight_gradient_impls;
}

void multiscale_depthwise_forward(const TensorView& x, const Quarters& weights, const Quarters& biases, bool residual,
                                  const TensorView& y) {
  const Dims d = dims_of("multiscale_depthwise", x, weights, biases, residual, "y", y);
  if (x.dtype() == DType::f64)
    run_forward<double>(d, false, x, weights, biases, y, multiscale_depthwise_forward_reference<double>);
  else
    run_forward<float>(d, false, x, weights, biases, y, pick(multiscale_depthwise_forward_impls()).run);
}

void multiscale_depthwise_data_gradient(const TensorView& dy, const Quarters& weights, bool residual,
                                        const TensorView& dx) {
  const Dims d = dims_of("multiscale_depthwise", dy, weights, {}, residual, "dx", dx);
  if (dy.dtype() == DType::f64)
    run_forward<double>(d, true, dy, weights, {}, dx, multiscale_depthwise_forward_reference<double>);
  else
    run_forward<float>(d, true, dy, weights, {}, dx, pick(multiscale_depthwise_forward_impls()).run);
}

void multiscale_depthwise_weight_gradient(const TensorView& x, const TensorView& dy, const Quarters& dweights,
                                          const Quarters& dbiases) {
  const Dims d = dims_of("multiscale_depthwise", x, dweights, dbiases, false, "dy", dy);
  if (x.dtype() == DType::f64)
    run_weight_gradient<double>(d, x, dy, dweights, dbiases, multiscale_depthwise_weight_gradient_reference<double>);
  else
    run_weight_gradient<float>(d, x, dy, dweights, dbiases, pick(multiscale_depthwise_weight_gradient_impls()).run);
}

}  // namespace lgms::kernels
