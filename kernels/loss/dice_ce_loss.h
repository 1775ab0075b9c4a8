#pragma once
// The 3D loss, for logits x, labels l and p = softmax(x) over the channels, t the one-hot labels:
//   L = mean over images n and classes c of 1 - 2 sum(p t) / (sum p^2 + sum t^2 + 1e-6), sums over the pixels of n
//     + mean over pixels of log(sum_c exp(x_c)) - x_l
// Source: MONAI DiceCELoss(to_onehot_y, softmax, squared_pred, smooth_nr=0, smooth_dr=1e-6), background included.
#include "kernels/impl.h"

namespace lgms::kernels {

// logits: [N, D, H, W, C], f32 or f64, any row stride. labels: i64 [N, D, H, W]. loss: one element of the logits' type.
// sums: [N, 2, C] f64, receives sum p t and sum p^2 + sum t^2. Throws Error{usage} on shapes or types that do not fit,
// Error{data} on a label outside of [0, C).
void dice_ce_loss_forward(const TensorView& logits, const TensorView& labels, const TensorView& loss,
                          const TensorView& sums);
// dlogits = dloss * dL/dlogits, overwritten; dloss: one element.
void dice_ce_loss_backward(const TensorView& logits, const TensorView& labels, const TensorView& sums,
                           const TensorView& dloss, const TensorView& dlogits);

// Rows of one image. ldx: of logits; ldy: of dlogits. labels lie one after another.
struct DiceCeDims {
  int64_t rows, c, ldx, ldy;
};
// sums [2, C]: of p t; of p^2 + t^2. ce: sum of the cross entropies. Both overwritten. scratch: [4, C].
template <class T>
using DiceCeForward = void(const DiceCeDims&, const T* logits, const int64_t* labels, T* scratch, double* sums,
                           double* ce);
// dlogits_c = p_c (G_c - sum_k p_k G_k) + w (p_c - t_c), where G_c = a_c t_c + b_c p_c. factors [2, C]: a, b.
template <class T>
using DiceCeBackward = void(const DiceCeDims&, const T* logits, const int64_t* labels, const double* factors, double w,
                            T* scratch, T* dlogits);
struct DiceCeImpl {
  const char* name;
  Device device;
  Isa isa;
  DiceCeForward<float>* forward;
  DiceCeBackward<float>* backward;
};
// Implementations in this build, fastest first, reference last.
std::span<const DiceCeImpl> dice_ce_loss_impls();
DiceCeForward<float> dice_ce_loss_forward_generic;
DiceCeBackward<float> dice_ce_loss_backward_generic;

}  // namespace lgms::kernels
