#pragma once
// Element by element: relu(x) = max(x, 0); silu(x) = x * sigmoid(x); gelu(x) = x * Phi(x), Phi the normal distribution
// function by erf (the exact GELU). Source: torch.nn.functional.relu, silu, gelu(approximate="none").
#include "kernels/epilogue.h"
#include "kernels/impl.h"

namespace lgms::kernels {

// y = activation(x). x, y: one shape and type (f32 or f64), any row strides. Overwrites y, which may be x.
// Throws Error{usage} on shapes or types that differ.
void activation_forward(const TensorView& x, Activation kind, const TensorView& y);
// dx = dy * activation'(x); relu'(0) = 0. Overwrites dx, which may be x or dy.
void activation_backward(const TensorView& x, const TensorView& dy, Activation kind, const TensorView& dx);

// ldy: of y, or of dx in backward.
struct ActivationDims {
  int64_t rows, c, ldx, ldy, lddy;
  Activation kind;
};
using ActivationForward = void(const ActivationDims&, const float* x, float* y);
using ActivationBackward = void(const ActivationDims&, const float* x, const float* dy, float* dx);
struct ActivationImpl {
  const char* name;
  Device device;
  Isa isa;
  ActivationForward* forward;
  ActivationBackward* backward;
};
// Implementations in this build, fastest first, reference last.
std::span<const ActivationImpl> activation_impls();
using PreparedActivation = Prepared<ActivationImpl, ActivationDims>;
PreparedActivation prepare(const ActivationDims& d, const Context& context, Device device = Device::cpu);
void run(const PreparedActivation& p, const float* x, float* y);
ActivationForward activation_forward_generic, activation_forward_avx2, activation_forward_avx512;
ActivationBackward activation_backward_generic, activation_backward_avx2, activation_backward_avx512;

}  // namespace lgms::kernels
