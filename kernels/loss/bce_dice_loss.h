#pragma once
// The 2D loss, for logits x, targets t in [0, 1] and s = sigmoid(x):
//   L = 0.5 * mean over all elements of BCE + 1 - mean over images n of (2 I_n + 1e-5) / (T_n + 1e-5)
//   BCE = max(x, 0) - x t + log(1 + exp(-|x|)),  I_n = sum of s t over image n,  T_n = sum of s + t
// Source: torch.nn.functional.binary_cross_entropy_with_logits; soft Dice as in cq-dong/LGMSNet utils/losses.py
// BCEDiceLoss.
#include "kernels/impl.h"

namespace lgms::kernels {

// logits, target: [N, D, H, W, C], one type, f32 or f64, any row strides. loss: one element of that type.
// sums: [N, 2] f64, receives I_n and T_n for backward. Throws Error{usage} on shapes or types that differ.
void bce_dice_loss_forward(const TensorView& logits, const TensorView& target, const TensorView& loss,
                           const TensorView& sums);
// dlogits = dloss * dL/dlogits, overwritten; dloss: one element.
void bce_dice_loss_backward(const TensorView& logits, const TensorView& target, const TensorView& sums,
                            const TensorView& dloss, const TensorView& dlogits);

// Rows of one image. ldx: of logits; ldt: of target; ldy: of dlogits.
struct BceDiceDims {
  int64_t rows, c, ldx, ldt, ldy;
};
// sums of: s t, s + t, BCE, overwritten.
using BceDiceForward = void(const BceDiceDims&, const float* logits, const float* target, double sums[3]);
// dlogits = w (s - t) + s (1 - s) (a t + b); factors: w, a, b.
using BceDiceBackward = void(const BceDiceDims&, const float* logits, const float* target, const double factors[3],
                             float* dlogits);
struct BceDiceImpl {
  const char* name;
  Device device;
  Isa isa;
  BceDiceForward* forward;
  BceDiceBackward* backward;
};
// Implementations in this build, fastest first, reference last.
std::span<const BceDiceImpl> bce_dice_loss_impls();
BceDiceForward bce_dice_loss_forward_generic;
BceDiceBackward bce_dice_loss_backward_generic;

}  // namespace lgms::kernels
