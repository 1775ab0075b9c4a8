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

ChannelNormWalk walk_of(const NormDims& d) {
  return {d.n, d.s, d.c, d.ldx == d.c && d.ldy == d.c && (d.ldr == 0 || d.ldr == d.c)};
}

template <class T>
int64_t apply_bytes(const NormDims& d) {
  return ChannelNormTables<T>::bytes(d.m(), walk_of(d));
}

template <class T>
void apply(const NormDims& d, const T* x, const double* mean, const double* rstd, const T* gamma, const T* beta,
           const T* residual, T* y, void* scratch, const ChannelNormKernels<T>& kernels) {
  const ChannelNormWalk walk = walk_of(d);
  const ChannelNormTables<T> tables{static_cast<T*>(scratch), d.m(), d.c, walk.join};
  tables.fill(mean, rstd, gamma, beta);
  walk.run([&](int64_t, int64_t image, int64_t first, int64_t rows) {
    kernels.apply(walk.dims(rows, d.before, d.after, d.ldx, d.ldy, d.ldr), tables.of(image),
                  x + first * walk.stride(d.ldx), residual ? residual + first * walk.stride(d.ldr) : nullptr,
                  y + first * walk.stride(d.ldy));
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
  expect_dense(kOp, argument, t);
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

PreparedNorm prepare(const NormDims& d, const Context& context, Device device) {
  return {&pick(channel_norm_impls(), context, device), d, walk_of(d).pieces(), 0,
          std::max(norm_statistics_bytes<float>(d), apply_bytes<float>(d))};
}

void run_statistics(const PreparedNorm& p, const float* x, double* mean, double* variance, void* scratch) {
  norm_statistics(p.dims, x, mean, variance, scratch, *p.row->run);
}

void run(const PreparedNorm& p, const float* x, const double* mean, const double* rstd, const float* gamma,
         const float* beta, const float* residual, float* y, void* scratch) {
  apply(p.dims, x, mean, rstd, gamma, beta, residual, y, scratch, *p.row->run);
}

void norm_tables(const double* mean, const double* rstd, const float* gamma, const float* beta, int64_t m, int64_t c,
                 float* tables) {
  for (int64_t r = 0; r < m; ++r, tables += 3 * c)
    for (int64_t i = 0; i < c; ++i) {
      const NormTerms<float> z(mean[r * c + i], rstd[r * c + i], gamma ? gamma[i] : 1, beta ? beta[i] : 0);
      tables[i] = z.mean;
      tables[c + i] = z.scale;
      tables[2 * c + i] = z.shift;
    }
}

NormDims norm_dims(const TensorView& x, const TensorView& y, const TensorView& residual, Activation before,
                   Activation after, const NormSets& sets) {
  const int64_t n = x.shape()[0];
  return {n,
          n == 0 ? 0 : x.rows() / n,
          x.channels(),
          x.row_stride(),
          y.row_stride(),
          residual.defined() ? residual.row_stride() : 0,
          before,
          after,
          sets};
}

void channel_norm_forward(const TensorView& x, const TensorView& mean, const TensorView& rstd, const TensorView& gamma,
                          const TensorView& beta, const Epilogue<TensorView>& epilogue, const TensorView& y) {
  expect_activations(kOp, "x", x);
  expect_affine(x, mean, rstd, gamma, beta);
  if (epilogue.residual.defined()) expect_same("residual", epilogue.residual, x);
  check(!epilogue.bias.defined() && !epilogue.norm.defined(), ErrorKind::usage,
        "[channel_norm] epilogue: expected no bias and no norm, it is both");
  expect_same("y", y, x);
  const NormDims d = norm_dims(x, y, epilogue.residual, epilogue.before, epilogue.after, {1, mean.shape()[0] == 1});
  const HostRows host(x.device());
  const auto run_as = [&]<class T>(const ChannelNormKernels<T>& kernels) {
    const Scratch scratch(Context::current().memory(), apply_bytes<T>(d));
    apply(d, x.data<T>(), mean.data<double>(), rstd.data<double>(), data_or_null<T>(gamma), data_or_null<T>(beta),
          data_or_null<T>(epilogue.residual), y.data<T>(), scratch.as<void>(), kernels);
  };
  if (x.dtype() == DType::f64)
    run_as(kernels_of<double>(x.device()));
  else
    run_as(kernels_of<float>(x.device()));
}

}  // namespace lgms::kernels
