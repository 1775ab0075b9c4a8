#include "kernels/depthwise/depthwise.h"

#include "kernels/depthwise/reference.h"

namespace lgms::kernels {
namespace {

constexpr Impl<DepthwiseForward> forward_impls[] = {
#if LGMS_X86
    {"avx512", Isa::avx512, depthwise_forward_avx512},
    {"avx2", Isa::avx2, depthwise_forward_avx2},
#endif
    {"generic", Isa::generic, depthwise_forward_generic},
    {"reference", Isa::reference, depthwise_forward_reference<float>}};
constexpr Impl<DepthwiseWeightGradient> weight_gradient_impls[] = {
#if LGMS_X86
    {"avx512", Isa::avx512, depthwise_weight_gradient_avx512},
    {"avx2", Isa::avx2, depthwise_weight_gradient_avx2},
#endif
    {"generic", Isa::generic, depthwise_weight_gradient_generic},
    {"reference", Isa::reference, depthwise_weight_gradient_reference<float>}};

// Checks x, y and the weight's shape, and reads the dims off them.
DepthwiseDims dims_of(const char* op, const TensorView& x, const TensorView& weight, const char* y_name,
                      const TensorView& y) {
  expect_activations(op, "x", x);
  const Shape &s = x.shape(), &k = weight.shape();
  check(weight.defined() && (k.rank() == 4 || k.rank() == 5) && k[0] == s[4] && k[1] == 1 && k[-1] % 2 == 1 &&
            k[-2] % 2 == 1 && (k.rank() == 4 || k[2] % 2 == 1),
        ErrorKind::usage, "[", op, "] weight: expected [", s[4], ", 1, k, k] or [", s[4],
        ", 1, k, k, k] with odd k, got ", k);
  check(weight.is_dense(), ErrorKind::usage, "[", op, "] weight: expected a dense tensor");
  expect_type(op, "weight", weight, x.dtype());
  expect_shape(op, y_name, y, s);
  expect_type(op, y_name, y, x.dtype());
  return {s[0], s[1], s[2], s[3], s[4], k.rank() == 5 ? k[2] : 1, k[-2], k[-1], x.row_stride(), y.row_stride()};
}

void expect_bias(const char* op, const char* argument, const TensorView& bias, const TensorView& x) {
  if (!bias.defined()) return;
  expect_shape(op, argument, bias, {x.channels()});
  expect_type(op, argument, bias, x.dtype());
}

template <class Run>
Run* pick_for(std::span<const Impl<Run>> rows, const DepthwiseDims& d) {
  return pick(rows, [&](const Impl<Run>& row) { return depthwise_accepts(row.isa, d); }).run;
}

template <class T>
int64_t packed_bytes(const DepthwiseDims& d) {
  return d.kd * d.kh * d.kw * d.c * int64_t{sizeof(T)};
}

template <class T>
void run_forward(const DepthwiseDims& d, bool turned, const TensorView& x, const TensorView& weight,
                 const TensorView& bias, const TensorView& y, DepthwiseForwardOf<T>* run) {
  const int64_t taps = d.kd * d.kh * d.kw;
  const Scratch scratch(Context::current().allocator(), packed_bytes<T>(d));
  T* packed = scratch.as<T>();
  const T* w = weight.data<T>();
  for (int64_t c = 0; c < d.c; ++c)
    for (int64_t t = 0; t < taps; ++t) packed[(turned ? taps - 1 - t : t) * d.c + c] = w[c * taps + t];
  const int64_t grain = 1 + 65536 / std::max<int64_t>(1, d.w * d.c * taps);
  parallel_ranges(d.n * d.d * d.h, grain, [&](int64_t first, int64_t last, int) {
    run(d, first, last, x.data<T>(), packed, bias.defined() ? bias.data<T>() : nullptr, y.data<T>());
  });
}

template <class T>
void run_weight_gradient(const DepthwiseDims& d, const TensorView& x, const TensorView& dy, const TensorView& dweight,
                         const TensorView& dbias, DepthwiseWeightGradientOf<T>* run) {
  const int64_t taps = d.kd * d.kh * d.kw, size = (taps + 1) * d.c;
  const Blocks blocks = blocks_of(d.n * d.d * d.h, 1 + 65536 / std::max<int64_t>(1, d.w * d.c * taps), 64);
  const Scratch scratch(Context::current().allocator(), blocks.count * size * size_of(x.dtype()));
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

int64_t depthwise_forward_bytes(const DepthwiseDims& d) { return packed_bytes<float>(d); }

void depthwise_forward(const TensorView& x, const TensorView& weight, const TensorView& bias, const TensorView& y) {
  const DepthwiseDims d = dims_of("depthwise", x, weight, "y", y);
  expect_bias("depthwise", "bias", bias, x);
  if (x.dtype() == DType::f64)
    run_forward<double>(d, false, x, weight, bias, y, depthwise_forward_reference<double>);
  else
    run_forward<float>(d, false, x, weight, bias, y, pick_for(depthwise_forward_impls(), d));
}

void depthwise_data_gradient(const TensorView& dy, const TensorView& weight, const TensorView& dx) {
  const DepthwiseDims d = dims_of("depthwise", dy, weight, "dx", dx);
  if (dy.dtype() == DType::f64)
    run_forward<double>(d, true, dy, weight, {}, dx, depthwise_forward_reference<double>);
  else
    run_forward<float>(d, true, dy, weight, {}, dx, pick_for(depthwise_forward_impls(), d));
}

void depthwise_weight_gradient(const TensorView& x, const TensorView& dy, const TensorView& dweight,
                               const TensorView& dbias) {
  const DepthwiseDims d = dims_of("depthwise", x, dweight, "dy", dy);
  expect_bias("depthwise", "dbias", dbias, x);
  if (x.dtype() == DType::f64)
    run_weight_gradient<double>(d, x, dy, dweight, dbias, depthwise_weight_gradient_reference<double>);
  else
    run_weight_gradient<float>(d, x, dy, dweight, dbias, pick_for(depthwise_weight_gradient_impls(), d));
}

}  // namespace lgms::kernels
