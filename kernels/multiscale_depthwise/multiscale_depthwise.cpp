#include "kernels/multiscale_depthwise/multiscale_depthwise.h"

#include "kernels/multiscale_depthwise/reference.h"

namespace lgms::kernels {
namespace {

using Dims = MultiscaleDepthwiseDims;
using Unit = MultiscaleDepthwiseUnit;

constexpr Impl<MultiscaleDepthwiseForward> forward_impls[] = {
#if LGMS_X86
    {"avx512", Device::cpu, Isa::avx512, multiscale_depthwise_forward_avx512},
    {"avx2", Device::cpu, Isa::avx2, multiscale_depthwise_forward_avx2},
#endif
    {"generic", Device::cpu, Isa::generic, multiscale_depthwise_forward_generic},
    {"reference", Device::cpu, Isa::reference, multiscale_depthwise_forward_reference<float>}};
constexpr Impl<MultiscaleDepthwiseWeightGradient> weight_gradient_impls[] = {
#if LGMS_X86
    {"avx512", Device::cpu, Isa::avx512, multiscale_depthwise_weight_gradient_avx512},
    {"avx2", Device::cpu, Isa::avx2, multiscale_depthwise_weight_gradient_avx2},
#endif
    {"generic", Device::cpu, Isa::generic, multiscale_depthwise_weight_gradient_generic},
    {"reference", Device::cpu, Isa::reference, multiscale_depthwise_weight_gradient_reference<float>}};

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// How an image is cut: strips of 24 rows (a multiple of both tile heights, 8 and 6) of some slices; of a strip, units
// of four channels of some quarters. In 2D one slice and all quarters.
constexpr int64_t kRows = 24;
struct Cut {
  int64_t slices, quarters;
  int64_t strips(const Dims& d) const { return d.n * divide_up(d.d, slices) * divide_up(d.h, kRows); }
  int64_t units_of_strip(const Dims& d) const { return divide_up(d.c / 4, 4) * (4 / quarters); }
  int64_t units(const Dims& d) const { return strips(d) * units_of_strip(d); }
};
// Forward: all quarters in 3D too, so that every cache line of x and y is moved once, and slabs of which slices are
// fetched little more than once, but enough of them for a few threads.
Cut forward_cut(const Dims& d) { return {d.volume ? std::clamp<int64_t>(d.d / 4, 6, 24) : 1, 4}; }
// Weight gradient: small enough that a unit's planes stay in the L2 cache.
Cut gradient_cut(const Dims& d) { return d.volume ? Cut{8, 1} : Cut{1, 4}; }
int64_t taps_of(const Dims& d, int64_t quarter) {
  const int64_t k = 3 + 2 * quarter;
  return k * k * (d.volume ? k : 1);
}

// Unit i of a strip.
Unit unit_of(const Dims& d, const Cut& cut, int64_t strip, int64_t i) {
  const int64_t down = std::max<int64_t>(1, divide_up(d.h, kRows));
  const int64_t deep = std::max<int64_t>(1, divide_up(d.d, cut.slices)), quads = divide_up(d.c / 4, 4);
  const int64_t y0 = strip % down * kRows, z0 = strip / down % deep * cut.slices;
  const int64_t q0 = i / quads, j = i % quads * 4;
  return {strip / down / deep, z0, std::min(z0 + cut.slices, d.d),   y0, std::min(y0 + kRows, d.h), q0,
          q0 + cut.quarters,   j,  std::min<int64_t>(4, d.c / 4 - j)};
}

// All four weights, then all four biases, one after another.
struct Parameters {
  int64_t g, taps[4], weights[5];
  explicit Parameters(const Dims& d) : g(d.c / 4), taps{}, weights{} {
    for (int64_t q = 0; q < 4; ++q) {
      taps[q] = taps_of(d, q);
      weights[q + 1] = weights[q] + g * taps[q];
    }
  }
  int64_t size() const { return weights[4] + 4 * g; }
  int64_t bias(int64_t q) const { return weights[4] + q * g; }
  // Those of a unit; all: size() values.
  template <class T>
  MultiscaleDepthwiseParameters<T> of(const Unit& u, T* all) const {
    MultiscaleDepthwiseParameters<T> p;
    for (int64_t q = 0; q < 4; ++q) {
      p.weight[q] = all + weights[q] + u.j * taps[q];
      p.bias[q] = all + bias(q) + u.j;
    }
    return p;
  }
};

void expect_quarters(const char* op, const TensorView& x, const Quarters& weights, const Quarters& biases) {
  const int64_t c = x.channels(), rank = weights[0].shape().rank();
  check(c > 0 && c % 4 == 0, ErrorKind::usage, "[", op, "] x: expected a multiple of 4 channels, got ", x.shape());
  for (size_t q = 0; q < 4; ++q) {
    const int64_t k = 3 + 2 * static_cast<int64_t>(q);
    const std::string name = text("weights[", q, "]");
    expect_shape(op, name.c_str(), weights[q], rank == 5 ? Shape{c / 4, 1, k, k, k} : Shape{c / 4, 1, k, k});
    expect_like(op, name.c_str(), weights[q], x);
    expect_dense(op, name.c_str(), weights[q]);
    if (!biases[q].defined()) continue;
    expect_shape(op, text("biases[", q, "]").c_str(), biases[q], {c / 4});
    expect_like(op, text("biases[", q, "]").c_str(), biases[q], x);
  }
}

Dims dims_of(const char* op, const TensorView& x, const Quarters& weights, const Quarters& biases, bool residual,
             const char* y_name, const TensorView& y) {
  expect_activations(op, "x", x);
  expect_quarters(op, x, weights, biases);
  expect_shape(op, y_name, y, x.shape());
  expect_like(op, y_name, y, x);
  const Shape& s = x.shape();
  return {s[0], s[1], s[2], s[3], s[4], weights[0].shape().rank() == 5, residual, x.row_stride(), y.row_stride()};
}

template <class T>
using Pointers = std::array<const T*, 4>;

template <class T>
Pointers<T> pointers_of(const Quarters& tensors) {
  Pointers<T> p{};
  for (size_t q = 0; q < 4; ++q) p[q] = data_or_null<T>(tensors[q]);
  return p;
}

template <class T>
int64_t scratch_bytes(const Dims& d, const Context& context) {
  return multiscale_depthwise_scratch(d) * context.threads() * static_cast<int64_t>(sizeof(T));
}

template <class T>
void pack_parameters(const Dims& d, const Pointers<T>& weights, const Pointers<T>& biases, bool turned, T* p) {
  const Parameters at(d);
  for (int q = 0; q < 4; ++q) {
    const T *w = weights[static_cast<size_t>(q)], *bias = biases[static_cast<size_t>(q)];
    for (int64_t c = 0; c < at.g; ++c) {
      for (int64_t t = 0; t < at.taps[q]; ++t)
        p[at.weights[q] + c * at.taps[q] + t] = w[c * at.taps[q] + (turned ? at.taps[q] - 1 - t : t)];
      p[at.bias(q) + c] = bias ? bias[c] : T{0};
    }
  }
}

template <class T>
void run_forward(const Dims& d, const T* x, const T* packed, T* y, T* scratch, MultiscaleDepthwiseForwardOf<T>* run) {
  const Parameters at(d);
  const Cut cut = forward_cut(d);
  const int64_t each = multiscale_depthwise_scratch(d), per_strip = cut.units_of_strip(d);
  parallel_ranges(cut.units(d), 1, [&](int64_t first, int64_t last, int worker) {
    for (int64_t i = first; i < last; ++i) {
      const Unit u = unit_of(d, cut, i / per_strip, i % per_strip);
      run(d, u, x, at.of<const T>(u, packed), y, scratch + worker * each);
    }
  });
}

// The forward pass, or with the weights turned the data gradient.
void forward(const Dims& d, const TensorView& x, const Quarters& weights, const Quarters& biases, bool turned,
             const TensorView& y) {
  const Context& context = Context::current();
  const HostRows host(x.device());
  if (x.dtype() == DType::f64) {
    const Scratch packed(context.memory(), aligned_bytes<double>(Parameters(d).size())),
        scratch(context.memory(), scratch_bytes<double>(d, context));
    pack_parameters(d, pointers_of<double>(weights), pointers_of<double>(biases), turned, packed.as<double>());
    run_forward(d, x.data<double>(), packed.as<const double>(), y.data<double>(), scratch.as<double>(),
                multiscale_depthwise_forward_reference<double>);
  } else {
    const PreparedMultiscaleDepthwise p = prepare(d, context, x.device());
    const Scratch packed(context.memory(), p.packed_bytes), scratch(context.memory(), p.scratch_bytes);
    pack(p, pointers_of<float>(weights), pointers_of<float>(biases), turned, packed.as<float>());
    run(p, x.data<float>(), packed.as<const float>(), y.data<float>(), scratch.as<float>());
  }
}

template <class T>
void run_weight_gradient(const Dims& d, const TensorView& x, const TensorView& dy, const Quarters& dweights,
                         const Quarters& dbiases, MultiscaleDepthwiseWeightGradientOf<T>* run) {
  const Parameters at(d);
  Context& context = Context::current();
  const Cut cut = gradient_cut(d);
  const int64_t each = multiscale_depthwise_scratch(d), per_strip = cut.units_of_strip(d), size = at.size();
  // A piece of work is one kind of unit of one block of strips: the kinds write to different parameters.
  const Blocks blocks = blocks_of(cut.strips(d), 1, std::clamp<int64_t>(2000000 / size, 16, 128));
  const Scratch scratch(context.memory(), each * context.threads() * size_of(x.dtype()));
  const Scratch sums(context.memory(), blocks.count * size * size_of(x.dtype()));
  T* partials = sums.as<T>();
  context.parallel(blocks.count * per_strip, [&](int64_t piece, int worker) {
    const int64_t block = piece / per_strip, kind = piece % per_strip;
    const Unit any = unit_of(d, cut, 0, kind);
    const MultiscaleDepthwiseParameters<T> partial = at.of(any, partials + block * size);
    for (int64_t q = any.q0; q < any.q1; ++q) {
      std::fill_n(partial.weight[q], any.channels * at.taps[q], T{0});
      std::fill_n(partial.bias[q], any.channels, T{0});
    }
    for (int64_t strip = blocks.first(block); strip < blocks.last(block); ++strip)
      run(d, unit_of(d, cut, strip, kind), x.data<T>(), dy.data<T>(), partial, scratch.as<T>() + worker * each);
  });
  parallel_ranges(size, 4096, [&](int64_t first, int64_t last, int) {
    for (int64_t block = 1; block < blocks.count; ++block)
      for (int64_t i = first; i < last; ++i) partials[i] += partials[block * size + i];
  });
  for (int q = 0; q < 4; ++q) {
    const TensorView &dweight = dweights[static_cast<size_t>(q)], &dbias = dbiases[static_cast<size_t>(q)];
    std::copy_n(partials + at.weights[q], at.g * at.taps[q], dweight.data<T>());
    if (dbias.defined()) std::copy_n(partials + at.bias(q), at.g, dbias.data<T>());
  }
}

}  // namespace

// Forward: the planes of every quarter, as many slices as its kernel reaches, and a tile of every channel. Weight
// gradient: planes of x with a halo of 4 and of dy, and the sums of the largest kernel. A channel's row is padded by up
// to 47 floats and the row of all by 16.
int64_t multiscale_depthwise_scratch(const Dims& d) {
  const Cut cut = gradient_cut(d);
  const int64_t row = 4 * (d.w + 64), slices = d.volume ? std::min(d.d, cut.slices + 8) : 1;
  int64_t forward = 16 * kDepthwiseSlices * 8 * 32;
  for (int64_t q = 0; q < 4; ++q)
    forward += (d.volume ? std::min(d.d, 3 + 2 * q + kDepthwiseSlices - 1) : 1) * (kRows + 2 * (q + 1)) * row;
  return std::max(forward, 2 * cut.quarters * slices * (kRows + 8) * row + 9 * 9 * 9 * 16);
}

std::span<const Impl<MultiscaleDepthwiseForward>> multiscale_depthwise_forward_impls() { return forward_impls; }
std::span<const Impl<MultiscaleDepthwiseWeightGradient>> multiscale_depthwise_weight_gradient_impls() {
  return weight_gradient_impls;
}

PreparedMultiscaleDepthwise prepare(const Dims& d, const Context& context, Device device) {
  return {&pick(multiscale_depthwise_forward_impls(), context, device), d, forward_cut(d).units(d),
          aligned_bytes<float>(Parameters(d).size()), scratch_bytes<float>(d, context)};
}

void pack(const PreparedMultiscaleDepthwise& p, const std::array<const float*, 4>& weights,
          const std::array<const float*, 4>& biases, bool turned, float* packed) {
  pack_parameters(p.dims, weights, biases, turned, packed);
}

void run(const PreparedMultiscaleDepthwise& p, const float* x, const float* packed, float* y, float* scratch) {
  run_forward(p.dims, x, packed, y, scratch, p.row->run);
}

void multiscale_depthwise_forward(const TensorView& x, const Quarters& weights, const Quarters& biases, bool residual,
                                  const TensorView& y) {
  forward(dims_of("multiscale_depthwise", x, weights, biases, residual, "y", y), x, weights, biases, false, y);
}

void multiscale_depthwise_data_gradient(const TensorView& dy, const Quarters& weights, bool residual,
                                        const TensorView& dx) {
  forward(dims_of("multiscale_depthwise", dy, weights, {}, residual, "dx", dx), dy, weights, {}, true, dx);
}

void multiscale_depthwise_weight_gradient(const TensorView& x, const TensorView& dy, const Quarters& dweights,
                                          const Quarters& dbiases) {
  const Dims d = dims_of("multiscale_depthwise", x, dweights, dbiases, false, "dy", dy);
  const HostRows host(x.device());
  if (x.dtype() == DType::f64)
    run_weight_gradient<double>(d, x, dy, dweights, dbiases, multiscale_depthwise_weight_gradient_reference<double>);
  else
    run_weight_gradient<float>(d, x, dy, dweights, dbiases,
                               pick(multiscale_depthwise_weight_gradient_impls(), Context::current(), x.device()).run);
}

}  // namespace lgms::kernels
