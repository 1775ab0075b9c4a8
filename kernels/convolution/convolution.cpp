#include "kernels/convolution/convolution.h"

#include "kernels/convolution/forward/bf16.h"
#include "kernels/convolution/forward/rows.h"
#include "kernels/convolution/onednn.h"
#include "kernels/convolution/reference.h"

namespace lgms::kernels {
namespace {

constexpr ConvolutionImpl<float> impls[] = {
#if LGMS_HAVE_ONEDNN
    convolution_onednn_impl,
#endif
#if LGMS_X86
    winograd_row<16>("winograd_avx512", Isa::avx512, winograd_pack_avx512, convolution_winograd_avx512),
    pointwise_row<16>("pointwise_avx512", Isa::avx512, convolution_pointwise_avx512),
    direct_row<16>("direct_avx512", Isa::avx512, convolution_direct_avx512),
    winograd_row<8>("winograd_avx2", Isa::avx2, winograd_pack_avx2, convolution_winograd_avx2),
    pointwise_row<8>("pointwise_avx2", Isa::avx2, convolution_pointwise_avx2),
    direct_row<8>("direct_avx2", Isa::avx2, convolution_direct_avx2),
#endif
    pointwise_row<4>("pointwise_generic", Isa::generic, convolution_pointwise_generic),
    direct_row<4>("direct_generic", Isa::generic, convolution_direct_generic),
    convolution_reference_impl<float>};

#if LGMS_X86
constexpr ConvolutionImpl<float> bf16_impls[] = {
    bf16_row("bf16_tiles", Precision::bf16_tiles, bf16_tiles_accepts, convolution_bf16_tiles_avx512),
    bf16_row("bf16_pairs", Precision::bf16_pairs, bf16_pairs_accepts, convolution_bf16_pairs_avx512)};
#endif

// Units whose work is worth handing to a thread: about 10 us of a fast core. To read or write a number takes as long as
// some 40 multiply-adds.
int64_t grain(const ConvolutionDims& d, int64_t units) {
  const int64_t products = d.cout * (d.cin / d.groups) * d.taps(), moved = 40 * (d.cin + d.cout);
  const int64_t work = d.rows() * std::max(products, moved) / std::max<int64_t>(units, 1);
  return 1 + 1'000'000 / std::max<int64_t>(work, 1);
}

// turned: the data gradient, whose dims have cin and cout swapped.
void convolve(const ConvolutionDims& d, const TensorView& x, const TensorView& weight, const TensorView& bias,
              const TensorView& y, bool turned, Rounding rounding) {
  const Context& context = Context::current();
  const HostRows host(x.device());
  const auto run_as = [&]<class T>(const PreparedConvolution<T>& p) {
    ConvolutionDims forward = d;
    if (turned) std::swap(forward.cin, forward.cout);
    const T* const w = weight.data<T>();
    pack_and_run<T>(p, x.data<T>(), turned ? turned_weights<T>(forward, w) : forward_weights<T>(d, w),
                    {.epilogue = {.bias = {data_or_null<T>(bias)}}}, y.data<T>());
  };
  if (x.dtype() == DType::f64)
    run_as(prepare(d, convolution_reference_impl<double>, context));
  else
    run_as(prepare(d, rounding, context, x.device()));
}

}  // namespace

std::span<const ConvolutionImpl<float>> convolution_impls() { return impls; }
std::span<const ConvolutionImpl<float>> convolution_bf16_impls() {
#if LGMS_X86
  return bf16_impls;
#else
  return {};
#endif
}

template <class T>
PreparedConvolution<T> prepare(const ConvolutionDims& d, const ConvolutionImpl<T>& row, const Context& context) {
  if (d.rows() == 0 || d.cout == 0) return {&row, d};
  return {&row, d, row.units(d), aligned_bytes<T>(row.packed_size(d)),
          aligned_bytes<T>(row.scratch_size(d)) * (row.provider == Provider::own ? context.threads() : 1)};
}
PreparedConvolution<float> prepare(const ConvolutionDims& d, Rounding rounding, const Context& context, Device device) {
  const auto accepts = [&](const ConvolutionImpl<float>& row) {
    return row.rounding <= rounding && row.precision <= context.precision() && row.accepts(d);
  };
  for (const ConvolutionImpl<float>& row : convolution_bf16_impls())
    if (accepts(row)) return prepare(d, row, context);
  return prepare(d, pick(convolution_impls(), context, device, accepts), context);
}

template <class T>
void pack(const PreparedConvolution<T>& p, const ConvolutionWeights<T>& weights, T* packed) {
  if (p.units == 0) return;
  const int64_t units = p.row->pack_units(p.dims);
  if (p.row->provider != Provider::own) return p.row->pack(p.dims, 0, units, weights, packed);
  parallel_ranges(units, 1 + units * 65536 / std::max<int64_t>(p.packed_bytes, 1),
                  [&](int64_t first, int64_t last, int) { p.row->pack(p.dims, first, last, weights, packed); });
}

template <class T>
void run(const PreparedConvolution<T>& p, const T* x, const T* packed, const Fusing<T>& fusing, T* y, T* scratch) {
  if (p.units == 0) return;
  if (p.row->provider != Provider::own) return p.row->run(p.dims, 0, p.units, x, packed, fusing, y, scratch);
  const int64_t step = aligned_bytes<T>(p.row->scratch_size(p.dims)) / int64_t{sizeof(T)};  // from worker to worker
  parallel_ranges(p.units, grain(p.dims, p.units), [&](int64_t first, int64_t last, int worker) {
    p.row->run(p.dims, first, last, x, packed, fusing, y, scratch + step * worker);
  });
}

template <class T>
void pack_and_run(const PreparedConvolution<T>& p, const T* x, const ConvolutionWeights<T>& weights,
                  const Fusing<T>& fusing, T* y) {
  const Scratch memory(Context::current().memory(), p.bytes());
  T* const packed = memory.as<T>();
  pack(p, weights, packed);
  run<T>(p, x, packed, fusing, y, packed + p.packed_bytes / int64_t{sizeof(T)});
}

template void pack_and_run(const PreparedConvolution<float>&, const float*, const ConvolutionWeights<float>&,
                           const Fusing<float>&, float*);
template void pack_and_run(const PreparedConvolution<double>&, const double*, const ConvolutionWeights<double>&,
                           const Fusing<double>&, double*);
template PreparedConvolution<double> prepare(const ConvolutionDims&, const ConvolutionImpl<double>&, const Context&);
template PreparedConvolution<float> prepare(const ConvolutionDims&, const ConvolutionImpl<float>&, const Context&);
template void pack(const PreparedConvolution<float>&, const ConvolutionWeights<float>&, float*);
template void pack(const PreparedConvolution<double>&, const ConvolutionWeights<double>&, double*);
template void run(const PreparedConvolution<float>&, const float*, const float*, const Fusing<float>&, float*, float*);
template void run(const PreparedConvolution<double>&, const double*, const double*, const Fusing<double>&, double*,
                  double*);

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
  expect_like(op, weight_name, weight, x);
  expect_shape(op, y_name, y, s.with_channels(k[0]));
  expect_like(op, y_name, y, x);
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
    expect_like("convolution", "bias", bias, x);
  }
  convolve(d, x, weight, bias, y, false, rounding);
}

void convolution_data_gradient(const TensorView& dy, const TensorView& weight, int64_t groups, const TensorView& dx) {
  ConvolutionDims d = convolution_dims("convolution", dx, weight, groups, dy, true, false, true);
  std::swap(d.cin, d.cout);
  std::swap(d.ldx, d.ldy);
  convolve(d, dy, weight, {}, dx, true, Rounding::transformed);
}

}  // namespace lgms::kernels
