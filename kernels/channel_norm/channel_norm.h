#pragma once
// Batch, instance and group norm as one family. With u = before(x):
//   mean, variance (biased) of u over each set of elements; rstd = 1 / sqrt(variance + eps)
//   y = after(gamma[c] * (u - mean) * rstd + beta[c]) + residual
// A set is channels_per_set neighbouring channels of one image, or of all images:
//   batch norm     1 channel, over images             Ioffe & Szegedy 2015;  torch.nn.functional.batch_norm
//   instance norm  1 channel                          Ulyanov et al. 2016;   torch.nn.functional.instance_norm
//   group norm     C / groups channels                Wu & He 2018;          torch.nn.functional.group_norm
// Statistics are tables [M, C] in f64, each set's value repeated over its channels: M = 1 over images, else M = N.
#include "kernels/activation/activation.h"

namespace lgms::kernels {

struct NormSets {
  int64_t channels_per_set = 1;
  bool over_images = false;
};

// Tensors x, y, residual, dy, dx: [N, D, H, W, C], f32 or f64, any row strides. gamma, beta: [C] of x's type, or
// undefined (1 and 0). All throw Error{usage} on shapes or types that do not fit; outputs are overwritten.

// mean, variance: [M, C]. Right also where |mean| >> std: sums are taken around a pivot.
void channel_norm_statistics(const TensorView& x, Activation before, const NormSets& sets, const TensorView& mean,
                             const TensorView& variance);
// 1 / sqrt(variance + eps) as f64 [M, C]; variance: [M, C], or [C] as a running one is, of any floating type.
Tensor reciprocal_deviation(const Tensor& variance, double eps);
// A running mean [C] of any floating type as a table [1, C].
Tensor mean_table(const Tensor& running_mean);
// running = (1 - momentum) * running + momentum * batch, of [C] and [1, C]; the batch's variance unbiased, by
// values / (values - 1); batches, i64 of one element, counts up. Each of the three may be undefined.
void update_running_statistics(const TensorView& running_mean, const TensorView& running_variance,
                               const TensorView& batches, const TensorView& mean, const TensorView& variance,
                               int64_t values, double momentum);
// mean, rstd: [M, C], M = 1 or N. y may be x or the epilogue's residual.
void channel_norm_forward(const TensorView& x, const TensorView& mean, const TensorView& rstd, const TensorView& gamma,
                          const TensorView& beta, const Epilogue<TensorView>& epilogue, const TensorView& y);
// Gradients for dy (dresidual is dy itself); undefined ones are not computed. constant_statistics: mean and rstd do not
// depend on x (batch norm in evaluation). dx may be dy or x.
void channel_norm_backward(const TensorView& x, const TensorView& dy, const NormSets& sets, const TensorView& mean,
                           const TensorView& rstd, const TensorView& gamma, const TensorView& beta, Activation before,
                           Activation after, bool constant_statistics, const TensorView& dx, const TensorView& dgamma,
                           const TensorView& dbeta);

// What a kernel is handed: rows of one image. ldx: of x; ldy: of y or dx; ldr: of residual or dy.
struct ChannelNormDims {
  int64_t rows, c, ldx, ldy, ldr;
  Activation before, after;
};
// [c] each: z = scale * (u - mean) + shift; in backward also dx = before'(x) * (scale*g + slope*(u - mean) + offset).
template <class T>
struct ChannelNormCoefficients {
  const T *mean, *scale, *shift, *slope, *offset;
};
template <class T>
struct ChannelNormKernels {
  // partial [3, c]: u of the first row; sum of u - that; sum of (u - that)^2. rows >= 1.
  void (*moments)(const ChannelNormDims&, const T* x, T* partial);
  // y = after(z) + residual (or none: nullptr).
  void (*apply)(const ChannelNormDims&, const ChannelNormCoefficients<T>&, const T* x, const T* residual, T* y);
  // g = dy * after'(z). partial [2, c]: sum of g; sum of g * (u - mean).
  void (*sums)(const ChannelNormDims&, const ChannelNormCoefficients<T>&, const T* x, const T* dy, T* partial);
  void (*backward)(const ChannelNormDims&, const ChannelNormCoefficients<T>&, const T* x, const T* dy, T* dx);
};
struct ChannelNormImpl {
  const char* name;
  Device device;
  Isa isa;
  const ChannelNormKernels<float>* run;
};
// Implementations in this build, fastest first, reference last.
std::span<const ChannelNormImpl> channel_norm_impls();

// A whole pass: s pixels in each of n images. over_images: one row of statistics for all of them.
struct NormDims {
  int64_t n, s, c, ldx, ldy, ldr = 0;  // ldr: 0 without a residual
  Activation before = Activation::none, after = Activation::none;
  NormSets sets = {};
  int64_t m() const { return sets.over_images ? 1 : n; }
};
using PreparedNorm = Prepared<ChannelNormImpl, NormDims>;
// scratch_bytes is what the larger of both movements takes.
PreparedNorm prepare(const NormDims& d, const Context& context, Device device = Device::cpu);
// The tables [m, 3, c] that stand for a norm in what other ops fuse, with the bits that its own pass gives. mean, rstd:
// [m, c]; gamma, beta: [c] or null.
void norm_tables(const double* mean, const double* rstd, const float* gamma, const float* beta, int64_t m, int64_t c,
                 float* tables);
// 1 / sqrt(variance + eps) of n numbers.
void reciprocal_deviation(const double* variance, int64_t n, double eps, double* rstd);
// mean, variance, rstd: [m, c]. gamma, beta, residual may be null. scratch: p.scratch_bytes, 64-byte aligned.
void run_statistics(const PreparedNorm& p, const float* x, double* mean, double* variance, void* scratch);
// From moments [n, blocks, 3, c] of u, as ChannelNormKernels::moments has them, that another op summed: block b over
// pixels(b) of an image.
void run_statistics(const PreparedNorm& p, const float* moments, int64_t blocks, FunctionRef<int64_t(int64_t)> pixels,
                    double* mean, double* variance, void* scratch);
void run(const PreparedNorm& p, const float* x, const double* mean, const double* rstd, const float* gamma,
         const float* beta, const float* residual, float* y, void* scratch);
extern const ChannelNormKernels<float> channel_norm_generic, channel_norm_avx2, channel_norm_avx512;

}  // namespace lgms::kernels
