#pragma once
// y[r,c] = (x[r,c] - mean[r]) * rstd[r] * gamma[c] + beta[c], mean and rstd = 1/sqrt(variance + eps) over the C
// channels of a pixel, biased variance. Backward computes them again: a row lies in L1, and nothing but x is saved.
// With xhat = (x - mean) * rstd and g = dy * gamma:
//   dx = rstd * (g - mean_c(g) - xhat * mean_c(g * xhat)),  dgamma = sum_r dy * xhat,  dbeta = sum_r dy.
// Source: Ba, Kiros, Hinton 2016, eq. 4; torch.nn.LayerNorm(C).
#include "kernels/impl.h"
#include "kernels/layer_norm/rows.h"

namespace lgms::kernels {

// x, y: [..., C] of one shape and type; gamma, beta: [C] of that type; eps > 0. Overwrites y, which may be x.
// Throws Error{usage} on other shapes or types.
void layer_norm_forward(const TensorView& x, const TensorView& gamma, const TensorView& beta, double eps,
                        const TensorView& y);
// dx: of x's shape, or undefined; dgamma, dbeta: [C], or both undefined. Overwrites them; dx may be dy.
void layer_norm_backward(const TensorView& x, const TensorView& gamma, const TensorView& dy, double eps,
                         const TensorView& dx, const TensorView& dgamma, const TensorView& dbeta);

// Implementations in this build, fastest first, reference last.
std::span<const Impl<LayerNormForward>> layer_norm_forward_impls();
std::span<const Impl<LayerNormBackward>> layer_norm_backward_impls();
using PreparedLayerNorm = Prepared<Impl<LayerNormForward>, LayerNormDims>;
PreparedLayerNorm prepare(const LayerNormDims& d, const Context& context, Device device = Device::cpu);
void run(const PreparedLayerNorm& p, const float* x, const float* gamma, const float* beta, float* y);

}  // namespace lgms::kernels
