#pragma once
// Parameter updates, one tensor at a time. All tensors of a call: dense, one shape and type (f32 or f64). They throw
// Error{usage} otherwise, allocate nothing, and leave versions to the caller.
#include "kernels/impl.h"

namespace lgms::kernels {

// velocity = momentum * velocity + (gradient + weight_decay * weight); weight -= rate * velocity. Start with velocity
// 0. Source: torch.optim.SGD(nesterov=False, dampening=0).
struct Sgd {
  double rate, momentum = 0.9, weight_decay = 0;
};
void sgd_step(const Sgd& options, const TensorView& gradient, const TensorView& weight, const TensorView& velocity);

// weight *= 1 - rate * weight_decay; mean += (1 - beta1) * (gradient - mean);
// square = beta2 * square + (1 - beta2) * gradient^2;
// weight -= rate / (1 - beta1^step) * mean / (sqrt(square) / sqrt(1 - beta2^step) + eps).
// step counts from 1; start with mean = square = 0.
// Source: Loshchilov & Hutter 2019, "Decoupled weight decay regularization"; torch.optim.AdamW(amsgrad=False).
struct AdamW {
  double rate, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 1e-2;
};
void adamw_step(const AdamW& options, int64_t step, const TensorView& gradient, const TensorView& weight,
                const TensorView& mean, const TensorView& square);

// The numbers of a step as the kernels use them.
template <class T>
struct SgdFactors {
  T rate, momentum, weight_decay;
};
template <class T>
struct AdamWFactors {
  T shrink, mean, square, square_new, step, root, eps;
};
using SgdStep = void(int64_t n, const SgdFactors<float>&, const float* gradient, float* weight, float* velocity);
using AdamWStep = void(int64_t n, const AdamWFactors<float>&, const float* gradient, float* weight, float* mean,
                       float* square);
struct OptimizerImpl {
  const char* name;
  Device device;
  Isa isa;
  SgdStep* sgd;
  AdamWStep* adamw;
};
SgdStep sgd_step_generic, sgd_step_avx2, sgd_step_avx512;
AdamWStep adamw_step_generic, adamw_step_avx2, adamw_step_avx512;
// Implementations in this build, fastest first, reference last; all give the same bits.
std::span<const OptimizerImpl> optimizer_impls();

}  // namespace lgms::kernels
