#pragma once
// Attention inside interleaved sub-grids. The pixels at one position of their 2x2 (2x2x2) patch are the L tokens of a
// sub-grid; of each sub-grid and head, with q, k, v the columns 8*head .. 8*head+7 of the three thirds of qkv:
//   s[i,j] = (q[i] . k[j]) / sqrt(8),  p[i,:] = softmax(s[i,:]),  y[i] = sum_j p[i,j] v[j];
// backward, with dp[i,j] = dy[i] . v[j], delta[i] = dy[i] . y[i], ds = p * (dp - delta[i]):
//   dq[i] = sum_j ds[i,j] k[j] / sqrt(8),  dk[j] = sum_i ds[i,j] q[i] / sqrt(8),  dv[j] = sum_i p[i,j] dy[i].
// p is never stored. Forward keeps two numbers per token and head from which backward has it again,
// p[i,j] = exp2(s[i,j] log2(e) - shift[i]) * inverse[i]: the log-sum-exp in two parts, which costs no logarithm and
// loses no digits to one. shift is any number near the largest score (each implementation picks its own).
// Source: cq-dong/LGMSNet network/Mobilevit.py Attention and MobileViTBlocktem_CT; Dao et al. 2022 (FlashAttention),
// algorithms 1 and 4.
#include "kernels/impl.h"

namespace lgms::kernels {

inline constexpr int64_t kHeadDim = 8;
inline constexpr int64_t kAttentionLanes = 16;  // tokens of a unit

// patch_d: 1 or 2; ld*: row strides.
struct AttentionDims {
  int64_t n, d, h, w, heads, patch_d, ldqkv, ldy, lddy, lddqkv;

  int64_t grids() const { return 4 * patch_d; }
  int64_t tokens() const { return d / patch_d * (h / 2) * (w / 2); }
  int64_t blocks() const { return (tokens() + kAttentionLanes - 1) / kAttentionLanes; }
  // A unit: at most kAttentionLanes tokens of one head, sub-grid and image. All units of a head follow each other.
  int64_t units() const { return n * grids() * heads * blocks(); }
};

// qkv: [N, D, H, W, 3 * heads * 8], H and W even (rank 3: D too); y: [N, D, H, W, heads * 8]; statistics: dense
// [N, D, H, W, 2 * heads], shift and inverse of each head; all of one type. Overwrites y and statistics.
// Throws Error{usage} on other shapes, types or ranks.
void attention_forward(const TensorView& qkv, int64_t heads, int rank, const TensorView& y,
                       const TensorView& statistics);
// dqkv of qkv's shape, overwritten, from dy of y's shape and what forward read and wrote.
void attention_backward(const TensorView& qkv, const TensorView& y, const TensorView& statistics, const TensorView& dy,
                        int64_t heads, int rank, const TensorView& dqkv);

// Units [first, last); scratch: attention_scratch(d) floats.
using AttentionForward = void(const AttentionDims& d, int64_t first, int64_t last, const float* qkv, float* y,
                              float* statistics, float* scratch);
// A unit's tokens are queries (dq) and keys (dk, dv).
using AttentionBackward = void(const AttentionDims& d, int64_t first, int64_t last, const float* qkv, const float* y,
                               const float* statistics, const float* dy, float* dqkv, float* scratch);
int64_t attention_scratch(const AttentionDims& d);
// Implementations in this build, fastest first, reference last.
std::span<const Impl<AttentionForward>> attention_forward_impls();
std::span<const Impl<AttentionBackward>> attention_backward_impls();
using PreparedAttention = Prepared<Impl<AttentionForward>, AttentionDims>;
PreparedAttention prepare(const AttentionDims& d, const Context& context, Device device = Device::cpu);
// scratch: p.scratch_bytes, 64-byte aligned.
void run(const PreparedAttention& p, const float* qkv, float* y, float* statistics, float* scratch);

}  // namespace lgms::kernels
