#include "kernels/depthwise/depthwise.h"

#include "kernels/depthwise/onednn.h"
#include "kernels/depthwise/reference.h"

namespace lgms::kernels {
namespace {

constexpr Impl<DepthwiseForward> forward_impls[] = {
#if LGMS_HAVE_ONEDNN
    {"onednn", Device::cpu, Isa::reference, depthwise_forward_onednn, Provider::onednn},
#endif
#if LGMS_X86
    {"avx512", Device::cpu, Isa::avx512, depthwise_forward_avx512},
    {"avx2", Device::cpu, Isa::avx2, depthwise_forward_avx2},
#endif
    {"generic", Device::cpu, Isa::generic, depthwise_forward_generic},
    {"reference", Device::cpu, Isa::reference, depthwise_forward_reference<float>}};
constexpr Impl<DepthwiseWeightGradient> weight_gradient_impls[] = {
#if LGMS_X86
    {"avx512", Device::cpu, Isa::avx512, depthwise_weight_gradient_avx512},
    {"avx2", Device::cpu, Isa::avx2, depthwise_weight_gradient_avx2},
#endif
    {"generic", Device::cpu, Isa::generic, depthwise_weight_gradient_generic},
    {"reference", Device::cpu, Isa::reference, depthwise_weight_gradient_reference<float>}};

// Checks x, y and the weight's shape, and reads the dims off them.
DepthwiseDims dims_of(const char* op, const TensorView& x, const TensorView& weight, const char* y_name,
                      const TensorView& y) {
  expect_activations(op, "x", x);
  const Shape &s = x.shape(), &k = weight.shape();
  check(weight.defined() && (k.rank() == 4 || k.rank() == 5) && k[0] == s[4] && k[1] == 1 && k[-1] % 2 == 1 &&
            k[-2] % 2 == 1 && (k.rank() == 4 || k[2] % 2 == 1),
        ErrorKind::usage, "[", op, "] weight: expected [", s[4], ", 1, k, k] or [", s[4],
        ", 1, k, k, k] with odd k, got ", k);
  expect_dense(op, "weight", weight);
  expect_like(op, "weight", weight, x);
  expect_shape(op, y_name, y, s);
  expect_like(op, y_name, y, x);
  return {s[0], s[1], s[2], s[3], s[4], k.rank() == 5 ? k[2] : 1, k[-2], k[-1], x.row_stride(), y.row_stride()};
}

void expect_bias(const char* op, const char* argument, const TensorView& bias, const TensorView& x) {
  if (!bias.defined()) return;
  expect_shape(op, argument, bias, {x.channels()});
  expect_like(op, argument, bias, x);
}

template <class Run>
const Impl<Run>& pick_for(std::span<const Impl<Run>> rows, const DepthwiseDims& d, const Context& context,
                          Device device) {
  return pick(rows, context, device, [&](const Impl<Run>& row) { return depthwise_accepts(row.isa, d); });
}

template <class T>
int64_t packed_bytes(const DepthwiseDims& d) {
  return d.kd * d.kh * d.kw * d.c * int64_t{sizeof(T)};
}

template <class T>
void pack_weight(const DepthwiseDims& d, const T* weight, bool turned, T* packed) {
  const int64_t taps = d.kd * d.kh * d.kw;
  for (int64_t c = 0; c < d.c; ++c)
    for (int64_t t = 0; t < taps; ++t) packed[(turned ? taps - 1 - t : t) * d.c + c] = weight[c * taps + t];
}

template <class T>
void run_forward(const DepthwiseDims& d, const T* x, const T* packed, const Epilogue<Strided<T>>& epilogue, T* y,
                 DepthwiseForwardOf<T>* run) {
  const int64_t grain = 1 + 65536 / std::max<int64_t>(1, d.w * d.c * std::max<int64_t>(4, d.kd * d.kh * d.kw));
  parallel_ranges(d.n * d.d * d.h, grain,
                  [&](int64_t first, int64_t last, int) { run(d, first, last, x, packed, epilogue, y); });
}

// The forward pass, or with the weight turned the data gradient.
void forward(const DepthwiseDims& d, const TensorView& x, const TensorView& weight, bool turned, const TensorView& bias,
             const TensorView& y) {
  const Context& context = Context::current();
  const HostRows host(x.device());
  if (x.dtype() == DType::f64) {
    const Scratch packed(context.memory(), packed_bytes<double>(d));
    pack_weight(d, weight.data<double>(), turned, packed.as<double>());
    run_forward<double>(d, x.data<double>(), packed.as<const double>(), {.bias = {data_or_null<double>(bias)}},
                        y.data<double>(), depthwise_forward_reference<double>);
  } else {
    const PreparedDepthwise p = prepare(d, context, x.device());
    const Scratch packed(context.memory(), p.packed_bytes);
    pack(p, weight.data<float>(), turned, packed.as<float>());
    run(p, x.data<float>(), packed.as<const float>(), {.bias = {data_or_null<float>(bias)}}, y.data<float>());
  }
}

template <class T>
void run_weight_gradient(const DepthwiseDims& d, const TensorView& x, const TensorView& dy, const TensorView& dweight,
                         const TensorView& dbias, DepthwiseWeightGradientOf<T>* run) {
  const int64_t taps = d.kd * d.kh * d.kw, size = (taps + 1) * d.c;
  const Blocks blocks = blocks_of(d.n * d.d * d.h, 1 + 65536 / std::max<int64_t>(1, d.w * d.c * taps), 64);
  const Scratch scratch(Context::current().memory(), blocks.count * size * size_of(x.dtype()));
  T* partials = scratch.as<T>();
  Context::current().parallel(blocks.count, [&](int64_t block, int) {
    run(d, blocks.first(block), blocks.last(block), x.data<T>(), dy.data<T>(), partials + block * size);
  });
  for (int64_t block = 1; block < blocks.count; ++block)
    for (int64_t i = 0; i < size; ++i) partials[i] += partials[block * size + i];
  for (int64_t c = 0; c < d.c; ++c)
    for (int64_t t = 0; t < taps; ++t) dweight.data<T>()[c * taps + t] = partials[t * d.c + c];
  if (dbias.defined()) std::copy_n(partials + taps * d.c, d.c, dbias.data<T>());
}

}  // namespace

std::span<const Impl<DepthwiseForward>> depthwise_forward_impls() { return forward_impls; }
std::span<const Impl<DepthwiseWeightGradient>> depthwise_weight_gradient_impls() { return weight_gradient_impls; }

bool depthwise_accepts(Isa row, const DepthwiseDims& d) {
  const bool one = d.kd * d.kh * d.kw == 1, three = d.kh == 3 && d.kw == 3 && (d.kd == 1 || d.kd == 3);
  return row == Isa::reference || one || three;
}

PreparedDepthwise prepare(const DepthwiseDims& d, const Context& context, Device device) {
  return {&pick_for(depthwise_forward_impls(), d, context, device), d, d.n * d.d * d.h, packed_bytes<float>(d)};
}

void pack(const PreparedDepthwise& p, const float* weight, bool turned, float* packed) {
  pack_weight(p.dims, weight, turned, packed);
}

void run(const PreparedDepthwise& p, const float* x, const float* packed, const Epilogue<Strided<float>>& epilogue,
         float* y) {
  if (p.row->provider != Provider::own)
    p.row->run(p.dims, 0, p.units, x, packed, epilogue, y);
  else
    run_forward(p.dims, x, packed, epilogue, y, p.row->run);
}

void depthwise_forward(const TensorView& x, const TensorView& weight, const TensorView& bias, const TensorView& y) {
  const DepthwiseDims d = dims_of("depthwise", x, weight, "y", y);
  expect_bias("depthwise", "bias", bias, x);
  forward(d, x, weight, false, bias, y);
}

void depthwise_data_gradient(const TensorView& dy, const TensorView& weight, const TensorView& dx) {
  forward(dims_of("depthwise", dy, weight, "dx", dx), dy, weight, true, {}, dx);
}

void depthwise_weight_gradient(const TensorView& x, const TensorView& dy, const TensorView& dweight,
                               const TensorView& dbias) {
  const DepthwiseDims d = dims_of("depthwise", x, dweight, "dy", dy);
  expect_bias("depthwise", "dbias", dbias, x);
  const HostRows host(x.device());
#if LGMS_HAVE_ONEDNN
  if (x.dtype() == DType::f32 && Context::current().provider() == Provider::onednn)
    return depthwise_weight_gradient_onednn(d, x.data<float>(), dy.data<float>(), dweight.data<float>(),
                                            data_or_null<float>(dbias));
#endif
  if (x.dtype() == DType::f64)
    run_weight_gradient<double>(d, x, dy, dweight, dbias, depthwise_weight_gradient_reference<double>);
  else
    run_weight_gradient<float>(d, x, dy, dweight, dbias,
                               pick_for(depthwise_weight_gradient_impls(), d, Context::current(), x.device()).run);
}

}  // namespace lgms::kernels
