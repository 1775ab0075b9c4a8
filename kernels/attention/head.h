#pragma once
// What the tuned implementations compute: one unit (16 tokens) against all tokens of its head, both packed.
// Numbers of the unit's tokens lie as [8][16], one vector lane per token; rows of all tokens hold 16 numbers, one cache
// line. q is multiplied by log2(e) / sqrt(8), dy by the token's inverse, so that p = exp2(q . k - shift) and dy carry
// both factors of the softmax. All pointers are 64-byte aligned. Lanes without a token hold zeros.
#include <cstdint>

namespace lgms::kernels {

// kv: [tokens][k 8, v 8]; q, o: [8][16]; shift, inverse: [16]. Overwrites o, shift, inverse.
using AttentionHeadForward = void(int64_t tokens, const float* kv, const float* q, float* o, float* shift,
                                  float* inverse);

// The unit's own tokens as lanes; shift and delta = dy . y negated.
struct AttentionLanes {
  alignas(64) float q[8][16], k[8][16], v[8][16], dy[8][16], minus_shift[16], minus_delta[16];
};
struct AttentionLaneGradients {
  alignas(64) float dq[8][16], dk[8][16], dv[8][16];
};
// kv as above; qdy: [tokens][q 8, dy 8]; minus_shift, minus_delta: [tokens]. With ds = p * (dp - delta):
// dq = sum_j ds k[j] (queries in lanes), dk = sum_i ds q[i], dv = sum_i p dy[i] (keys in lanes), as packed.
using AttentionHeadBackward = void(int64_t tokens, const float* kv, const float* qdy, const float* minus_shift,
                                   const float* minus_delta, const AttentionLanes& own, AttentionLaneGradients& out);

AttentionHeadForward attention_head_forward_avx512, attention_head_forward_avx2, attention_head_forward_generic;
AttentionHeadBackward attention_head_backward_avx512, attention_head_backward_avx2, attention_head_backward_generic;

}  // namespace lgms::kernels
