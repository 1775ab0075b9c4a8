#include "kernels/layer_norm/layer_norm.h"

#include "kernels/layer_norm/reference.h"

namespace lgms::kernels {
namespace {

constexpr Impl<LayerNormForward> forward_impls[] = {
#if LGMS_X86
    {"avx512", Device::cpu, Isa::avx512, layer_norm_forward_avx512},
    {"avx2", Device::cpu, Isa::avx2, layer_norm_forward_avx2},
#endif
    {"generic", Device::cpu, Isa::generic, layer_norm_forward_generic},
    {"reference", Device::cpu, Isa::reference, layer_norm_forward_reference<float>}};
constexpr Impl<LayerNormBackward> backward_impls[] = {
#if LGMS_X86
    {"avx512", Device::cpu, Isa::avx512, layer_norm_backward_avx512},
    {"avx2", Device::cpu, Isa::avx2, layer_norm_backward_avx2},
#endif
    {"generic", Device::cpu, Isa::generic, layer_norm_backward_generic},
    {"reference", Device::cpu, Isa::reference, layer_norm_backward_reference<float>}};

void expect(const char* argument, const TensorView& t, const TensorView& x, const Shape& shape) {
  expect_shape("layer_norm", argument, t, shape);
  expect_like("layer_norm", argument, t, x);
}

void expect_x(const TensorView& x, double eps) {
  expect_float("layer_norm", "x", x);
  check(x.shape().rank() > 0 && x.channels() > 0, ErrorKind::usage, "[layer_norm] x: expected [..., C], C > 0, got ",
        x.shape());
  check(eps > 0, ErrorKind::usage, "[layer_norm] eps: expected more than 0, got ", eps);
}

int64_t grain(int64_t c) { return 1 + 16384 / c; }

template <class T, class Run>
void forward(const LayerNormDims& d, const T* x, const T* gamma, const T* beta, T* y, Run* run) {
  parallel_ranges(d.rows, grain(d.c), [&](int64_t first, int64_t last, int) {
    LayerNormDims range = d;
    range.rows = last - first;
    run(range, x + first * d.ldx, gamma, beta, y + first * d.ldy);
  });
}

// Every block of rows has sums of its own, [2][C]; they are added in block order.
template <class T, class Run>
void backward(const LayerNormDims& d, const TensorView& x, const TensorView& gamma, const TensorView& dy,
              const TensorView& dx, const TensorView& dgamma, const TensorView& dbeta, Run* run) {
  Context& context = Context::current();
  const Blocks blocks = blocks_of(d.rows, grain(d.c), 64);
  const Scratch scratch(context.memory(), blocks.count * 2 * d.c * static_cast<int64_t>(sizeof(T)));
  T* const sums = scratch.as<T>();
  context.parallel(blocks.count, [&](int64_t block, int) {
    LayerNormDims range = d;
    const int64_t first = blocks.first(block);
    range.rows = blocks.last(block) - first;
    T* const sum = dgamma.defined() ? sums + block * 2 * d.c : nullptr;
    if (sum) std::fill_n(sum, 2 * d.c, T{0});
    run(range, x.data<T>() + first * d.ldx, gamma.data<T>(), dy.data<T>() + first * d.lddy,
        dx.defined() ? dx.data<T>() + first * d.ldy : nullptr, sum, sum ? sum + d.c : nullptr);
  });
  if (!dgamma.defined()) return;
  for (int64_t block = 1; block < blocks.count; ++block)
    for (int64_t c = 0; c < 2 * d.c; ++c) sums[c] += sums[block * 2 * d.c + c];
  std::copy_n(sums, d.c, dgamma.data<T>());
  std::copy_n(sums + d.c, d.c, dbeta.data<T>());
}

}  // namespace

std::span<const Impl<LayerNormForward>> layer_norm_forward_impls() { return forward_impls; }
std::span<const Impl<LayerNormBackward>> layer_norm_backward_impls() { return backward_impls; }

PreparedLayerNorm prepare(const LayerNormDims& d, const Context& context, Device device) {
  return {&pick(layer_norm_forward_impls(), context, device), d, d.rows};
}

void run(const PreparedLayerNorm& p, const float* x, const float* gamma, const float* beta, float* y) {
  forward(p.dims, x, gamma, beta, y, p.row->run);
}

void layer_norm_forward(const TensorView& x, const TensorView& gamma, const TensorView& beta, double eps,
                        const TensorView& y) {
  expect_x(x, eps);
  expect("gamma", gamma, x, {x.channels()});
  expect("beta", beta, x, {x.channels()});
  expect("y", y, x, x.shape());
  const LayerNormDims d{x.rows(), x.channels(), x.row_stride(), 0, y.row_stride(), eps};
  const HostRows host(x.device());
  if (x.dtype() == DType::f64)
    forward(d, x.data<double>(), gamma.data<double>(), beta.data<double>(), y.data<double>(),
            layer_norm_forward_reference<double>);
  else
    run(prepare(d, Context::current(), x.device()), x.data<float>(), gamma.data<float>(), beta.data<float>(),
        y.data<float>());
}

void layer_norm_backward(const TensorView& x, const TensorView& gamma, const TensorView& dy, double eps,
                         const TensorView& dx, const TensorView& dgamma, const TensorView& dbeta) {
  expect_x(x, eps);
  expect("gamma", gamma, x, {x.channels()});
  expect("dy", dy, x, x.shape());
  if (dx.defined()) expect("dx", dx, x, x.shape());
  check(dgamma.defined() == dbeta.defined(), ErrorKind::usage, "[layer_norm] dgamma, dbeta: expected both or none");
  if (dgamma.defined()) {
    expect("dgamma", dgamma, x, {x.channels()});
    expect("dbeta", dbeta, x, {x.channels()});
  }
  const LayerNormDims d{x.rows(), x.channels(), x.row_stride(), dy.row_stride(), dx.row_stride(), eps};
  const HostRows host(x.device());
  if (x.dtype() == DType::f64)
    backward<double>(d, x, gamma, dy, dx, dgamma, dbeta, layer_norm_backward_reference<double>);
  else
    backward<float>(d, x, gamma, dy, dx, dgamma, dbeta,
                    pick(layer_norm_backward_impls(), Context::current(), x.device()).run);
}

}  // namespace lgms::kernels
