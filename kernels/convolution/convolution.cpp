#include "kernels/convolution/convolution.h"

#include "kernels/convolution/direct.h"
#include "kernels/convolution/reference.h"
#include "kernels/convolution/winograd.h"

namespace lgms::kernels {
namespace {

template <int lanes>
constexpr ConvolutionImpl<float> direct(const char* name, Isa isa, ConvolutionRun* run) {
  return {name,
          isa,
          Rounding::direct,
          direct_accepts,
          direct_packed_size<lanes>,
          direct_pack_units<lanes>,
          direct_pack<lanes>,
          direct_units,
          direct_scratch_size,
          run};
}

template <int lanes>
constexpr ConvolutionImpl<float> pointwise(const char* name, Isa isa, ConvolutionRun* run) {
  return {name,
          isa,
          Rounding::direct,
          pointwise_accepts,
          direct_packed_size<lanes>,
          direct_pack_units<lanes>,
          direct_pack<lanes>,
          pointwise_units,
          [](const ConvolutionDims&) { return int64_t{0}; },
          run};
}

template <int lanes>
constexpr ConvolutionImpl<float> winograd(const char* name, Isa isa, ConvolutionPack* pack, ConvolutionRun* run) {
  return {name,
          isa,
          Rounding::transformed,
          winograd_accepts,
          winograd_packed_size<lanes>,
          winograd_pack_units<lanes>,
          pack,
          winograd_units,
          winograd_scratch_size,
          run};
}

constexpr ConvolutionImpl<float> impls[] = {
#if LGMS_X86
    winograd<16>("winograd_avx512", Isa::avx512, winograd_pack_avx512, convolution_winograd_avx512),
    pointwise<16>("pointwise_avx512", Isa::avx512, convolution_pointwise_avx512),
    direct<16>("direct_avx512", Isa::avx512, convolution_direct_avx512),
    winograd<8>("winograd_avx2", Isa::avx2, winograd_pack_avx2, convolution_winograd_avx2),
    pointwise<8>("pointwise_avx2", Isa::avx2, convolution_pointwise_avx2),
    direct<8>("direct_avx2", Isa::avx2, convolution_direct_avx2),
#endif
    pointwise<4>("pointwise_generic", Isa::generic, convolution_pointwise_generic),
    direct<4>("direct_generic", Isa::generic, convolution_direct_generic),
    convolution_reference_impl<float>};

// Units whose work is worth handing to a thread: about 10 us of a fast core.
int64_t grain(const ConvolutionDims& d, int64_t units) {
  const int64_t work = d.rows() * d.cout * (d.cin / d.groups) * d.taps() / std::max<int64_t>(units, 1);
  return 1 + 1'000'000 / std::max<int64_t>(work, 1);
}

const ConvolutionImpl<float>& pick_for(const ConvolutionDims& d, Rounding rounding) {
  return pick(convolution_impls(),
              [&](const ConvolutionImpl<float>& impl) { return impl.rounding <= rounding && impl.accepts(d); });
}

// Packed weights, then the scratch of each thread.
template <class T>
struct ScratchOf {
  int64_t packed, each;
  ScratchOf(const ConvolutionImpl<T>& impl, const ConvolutionDims& d)
      : packed(bytes(impl.packed_size(d))), each(bytes(impl.scratch_size(d))) {}
  static int64_t bytes(int64_t elements) { return (elements * int64_t{sizeof(T)} + 63) / 64 * 64; }
  int64_t total() const { return packed + each * Context::current().threads(); }
};

void run(const ConvolutionDims& d, const TensorView& x, const TensorView& weight, const TensorView& bias,
         const TensorView& y, bool turned, Rounding rounding) {
  const auto run_as = [&]<class T>(const ConvolutionImpl<T>& impl) {
    ConvolutionDims forward = d;
    if (turned) std::swap(forward.cin, forward.cout);
    run_convolution<T>(impl, d, x.data<T>(),
                       turned ? turned_weights<T>(forward, weight.data<T>()) : forward_weights<T>(d, weight.data<T>()),
                       bias.defined() ? bias.data<T>() : nullptr, y.data<T>());
  };
  if (x.dtype() == DType::f64)
    run_as(convolution_reference_impl<double>);
  else
    run_as(pick_for(d, rounding));
}

}  // namespace

std::span<const ConvolutionImpl<float>> convolution_impls() { return impls; }

template <class T>
void run_convolution(const ConvolutionImpl<T>& impl, const ConvolutionDims& d, const T* x,
                     const ConvolutionWeights<T>& weights, const T* bias, T* y) {
  if (d.rows() == 0 || d.cout == 0) return;
  Context& context = Context::current();
  const ScratchOf<T> bytes(impl, d);
  const int64_t packed_bytes = bytes.packed, scratch_bytes = bytes.each;
  const Scratch memory(context.allocator(), bytes.total());
  T* const packed = memory.as<T>();
  parallel_ranges(impl.pack_units(d), 1 + impl.pack_units(d) * 65536 / std::max<int64_t>(packed_bytes, 1),
                  [&](int64_t first, int64_t last, int) { impl.pack(d, first, last, weights, packed); });
  const int64_t units = impl.units(d);
  parallel_ranges(units, grain(d, units), [&](int64_t first, int64_t last, int worker) {
    impl.run(d, first, last, x, packed, bias, y, packed + (packed_bytes + scratch_bytes * worker) / int64_t{sizeof(T)});
  });
}
template void run_convolution(const ConvolutionImpl<float>&, const ConvolutionDims&, const float*,
                              const ConvolutionWeights<float>&, const float*, float*);
template void run_convolution(const ConvolutionImpl<double>&, const ConvolutionDims&, const double*,
                              const ConvolutionWeights<double>&, const double*, double*);

ConvolutionDims convolution_dims(const char* op, const TensorView& x, const TensorView& weight, int64_t groups,
                                 const TensorView& y, bool dx, bool dweight, bool dy) {
  const char* const x_name = dx ? "dx" : "x";
  const char* const weight_name = dweight ? "dweight" : "weight";
  const char* const y_name = dy ? "dy" : "y";
  expect_activations(op, x_name, x);
  const Shape &s = x.shape(), &k = weight.shape();
  const auto usage = [&](bool ok, const char* argument, const auto&... expectation) {
    check(ok, ErrorKind::usage, "[", op, "] ", argument, ": expected ", expectation...);
  };
  usage(groups >= 1 && s[4] % groups == 0, "groups", "a divisor of ", s[4], ", got ", groups);
  usage(weight.defined() && (k.rank() == 2 || k.rank() == 4 || k.rank() == 5) && k[0] % groups == 0 &&
            k[1] == s[4] / groups && weight.is_dense(),
        weight_name, "dense [Cout, ", s[4] / groups, ", k...], Cout a multiple of ", groups, ", got ", k);
  for (int axis = 2; axis < k.rank(); ++axis) usage(k[axis] % 2 == 1, weight_name, "odd k, got ", k);
  expect_type(op, weight_name, weight, x.dtype());
  expect_shape(op, y_name, y, s.with_channels(k[0]));
  expect_type(op, y_name, y, x.dtype());
  return {s[0],
          s[1],
          s[2],
          s[3],
          s[4],
          k[0],
          groups,
          k.rank() == 5 ? k[2] : 1,
          k.rank() == 2 ? 1 : k[-2],
          k.rank() == 2 ? 1 : k[-1],
          x.row_stride(),
          y.row_stride()};
}

void convolution_forward(const TensorView& x, const TensorView& weight, const TensorView& bias, int64_t groups,
                         const TensorView& y, Rounding rounding) {
  const ConvolutionDims d = convolution_dims("convolution", x, weight, groups, y);
  if (bias.defined()) {
    expect_shape("convolution", "bias", bias, {d.cout});
    expect_type("convolution", "bias", bias, x.dtype());
  }
  run(d, x, weight, bias, y, false, rounding);
}

int64_t convolution_forward_bytes(const ConvolutionDims& d, Rounding rounding) {
  return d.rows() == 0 || d.cout == 0 ? 0 : ScratchOf<float>(pick_for(d, rounding), d).total();
}

void convolution_data_gradient(const TensorView& dy, const TensorView& weight, int64_t groups, const TensorView& dx) {
  ConvolutionDims d = convolution_dims("convolution", dx, weight, groups, dy, true, false, true);
  std::swap(d.cin, d.cout);
  std::swap(d.ldx, d.ldy);
  run(d, dy, weight, {}, dx, true, Rounding::transformed);
}

}  // namespace lgms::kernels
