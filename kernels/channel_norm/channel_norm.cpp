#include "kernels/channel_norm/channel_norm.h"

#include "kernels/channel_norm/walk.h"

namespace lgms::kernels {
namespace {

constexpr const char* kOp = "channel_norm";
constexpr ChannelNormImpl impls[] = {
#if LGMS_X86
    {"avx512", Device::cpu, Isa::avx512, &channel_norm_avx512},
    {"avx2", Device::cpu, Isa::avx2, &channel_norm_avx2},
#endif
    {"generic", Device::cpu, Isa::generic, &channel_norm_generic},
    {"reference", Device::cpu, Isa::reference, &channel_norm_reference<float>}};

template <class T>
void forward(const TensorView& x, const TensorView& mean, const TensorView& rstd, const TensorView& gamma,
             const TensorView& beta, const Epilogue<TensorView>& epilogue, const TensorView& y) {
  const TensorView& residual = epilogue.residual;
  const ChannelNormWalk walk(x.shape(), x.is_dense() && y.is_dense() && (!residual.defined() || residual.is_dense()));
  const ChannelNormTables<T> tables(mean.shape()[0], x.channels(), walk.join);
  tables.fill(mean.data<double>(), rstd.data<double>(), data_or_null<T>(gamma), data_or_null<T>(beta));
  const T* r = data_or_null<T>(residual);
  const auto& run = kernels_of<T>(x.device());
  walk.run([&](int64_t, int64_t image, int64_t first, int64_t rows) {
    run.apply(walk.dims(rows, epilogue.before, epilogue.after, x, y, residual), tables.of(image),
              x.data<T>() + first * walk.stride(x), r ? r + first * walk.stride(residual) : nullptr,
              y.data<T>() + first * walk.stride(y));
  });
}

}  // namespace

std::span<const ChannelNormImpl> channel_norm_impls() { return impls; }

void expect_same(const char* argument, const TensorView& t, const TensorView& x) {
  expect_shape(kOp, argument, t, x.shape());
  expect_like(kOp, argument, t, x);
}
void expect_channels(const char* argument, const TensorView& t, const TensorView& x) {
  if (!t.defined()) return;
  expect_shape(kOp, argument, t, {x.channels()});
  expect_like(kOp, argument, t, x);
}
void expect_table(const char* argument, const TensorView& t, int64_t m, const TensorView& x) {
  expect_shape(kOp, argument, t, {m, x.channels()});
  expect_type(kOp, argument, t, DType::f64);
  expect_device(kOp, argument, t, x);
}
void expect_sets(const TensorView& x, const NormSets& sets) {
  expect_activations(kOp, "x", x);
  check(sets.channels_per_set > 0 && x.channels() % sets.channels_per_set == 0, ErrorKind::usage,
        "[channel_norm] channels_per_set: expected a divisor of ", x.channels(), ", got ", sets.channels_per_set);
}
void expect_affine(const TensorView& x, const TensorView& mean, const TensorView& rstd, const TensorView& gamma,
                   const TensorView& beta) {
  expect_table("mean", mean, mean.shape().rank() == 2 && mean.shape()[0] == 1 ? 1 : x.shape()[0], x);
  expect_table("rstd", rstd, mean.shape()[0], x);
  expect_channels("gamma", gamma, x);
  expect_channels("beta", beta, x);
}

void channel_norm_forward(const TensorView& x, const TensorView& mean, const TensorView& rstd, const TensorView& gamma,
                          const TensorView& beta, const Epilogue<TensorView>& epilogue, const TensorView& y) {
  expect_activations(kOp, "x", x);
  expect_affine(x, mean, rstd, gamma, beta);
  if (epilogue.residual.defined()) expect_same("residual", epilogue.residual, x);
  check(!epilogue.bias.defined(), ErrorKind::usage, "[channel_norm] bias: expected none, beta is one");
  expect_same("y", y, x);
  const HostRows host(x.device());
  if (x.dtype() == DType::f64)
    forward<double>(x, mean, rstd, gamma, beta, epilogue, y);
  else
    forward<float>(x, mean, rstd, gamma, beta, epilogue, y);
}

}  // namespace lgms::kernels
