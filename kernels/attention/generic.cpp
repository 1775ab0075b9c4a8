// From the reference: packed heads, scores computed once, and 16 tokens in the innermost loops, which the compiler
// turns into vectors of whatever width it is allowed.
#include <bit>

#include "kernels/attention/head.h"

namespace lgms::kernels {
namespace {

constexpr int kLanes = 16;
constexpr float kHeadroom = 16;  // log2 of how far scores may exceed the shift before it is raised

// 2^x within 1 ULP for -126 <= x < 128, 2^-126 below: x - round(x) in a minimax polynomial of degree 6 (relative error
// 7e-9, exact at 0), times 2^round(x) made of exponent bits.
float exp2_of(float x) {
  constexpr float kRound = 0x1.8p23f + 127;  // adding it leaves round(x) + 127 in the low bits
  x = x < -126.f ? -126.f : x;
  const float t = x + kRound, f = x - (t - kRound);
  float p = 0x1.4c127cp-13f;
  p = p * f + 0x1.5fbfa2p-10f;
  p = p * f + 0x1.3b21c8p-7f;
  p = p * f + 0x1.c6ada8p-5f;
  p = p * f + 0x1.ebfbe6p-3f;
  p = p * f + 0x1.62e432p-1f;
  p = p * f + 1.f;
  return p * std::bit_cast<float>(std::bit_cast<uint32_t>(t) << 23);
}

// s[l] = start[l] + sum_c lanes[c][l] * row[c]
void dot(const float* lanes, const float* row, const float* start, float* s) {
  for (int l = 0; l < kLanes; ++l) s[l] = start[l];
  for (int c = 0; c < 8; ++c)
    for (int l = 0; l < kLanes; ++l) s[l] += lanes[c * kLanes + l] * row[c];
}

// sums[c][l] += p[l] * row[c]
void add(const float* p, const float* row, float* sums) {
  for (int c = 0; c < 8; ++c)
    for (int l = 0; l < kLanes; ++l) sums[c * kLanes + l] += p[l] * row[c];
}

}  // namespace

void attention_head_forward_generic(int64_t tokens, const float* kv, const float* q, float* o, float* shift,
                                    float* inverse) {
  float minus_shift[kLanes] = {}, sum[kLanes] = {}, s[kLanes];
  dot(q, kv, minus_shift, s);
  for (int l = 0; l < kLanes; ++l) minus_shift[l] = -s[l];
  for (int i = 0; i < 8 * kLanes; ++i) o[i] = 0;
  for (int64_t j = 0; j < tokens; ++j, kv += 16) {
    dot(q, kv, minus_shift, s);
    float most = s[0];
    for (int l = 1; l < kLanes; ++l) most = s[l] > most ? s[l] : most;
    if (most > kHeadroom)
      for (int l = 0; l < kLanes; ++l) {
        const float raise = s[l] > kHeadroom ? s[l] : 0.f, factor = exp2_of(-raise);
        for (int c = 0; c < 8; ++c) o[c * kLanes + l] *= factor;
        sum[l] *= factor;
        minus_shift[l] -= raise;
        s[l] -= raise;
      }
    for (int l = 0; l < kLanes; ++l) s[l] = exp2_of(s[l]);
    for (int l = 0; l < kLanes; ++l) sum[l] += s[l];
    add(s, kv + 8, o);
  }
  for (int l = 0; l < kLanes; ++l) {
    shift[l] = -minus_shift[l];
    inverse[l] = 1.f / sum[l];
  }
  for (int c = 0; c < 8; ++c)
    for (int l = 0; l < kLanes; ++l) o[c * kLanes + l] *= inverse[l];
}

void attention_head_backward_generic(int64_t tokens, const float* kv, const float* qdy, const float* minus_shift,
                                     const float* minus_delta, const AttentionLanes& own, AttentionLaneGradients& out) {
  float s[kLanes], ds[kLanes], start[kLanes];
  out = {};
  for (int64_t j = 0; j < tokens; ++j) {  // own tokens are queries, j a key
    dot(own.q[0], kv + 16 * j, own.minus_shift, s);
    dot(own.dy[0], kv + 16 * j + 8, own.minus_delta, ds);
    for (int l = 0; l < kLanes; ++l) ds[l] *= exp2_of(s[l]);
    add(ds, kv + 16 * j, out.dq[0]);
  }
  for (int64_t i = 0; i < tokens; ++i) {  // own tokens are keys, i a query
    for (int l = 0; l < kLanes; ++l) start[l] = minus_shift[i];
    dot(own.k[0], qdy + 16 * i, start, s);
    for (int l = 0; l < kLanes; ++l) start[l] = minus_delta[i];
    dot(own.v[0], qdy + 16 * i + 8, start, ds);
    for (int l = 0; l < kLanes; ++l) {
      s[l] = exp2_of(s[l]);
      ds[l] *= s[l];
    }
    add(s, qdy + 16 * i + 8, out.dv[0]);
    add(ds, qdy + 16 * i, out.dk[0]);
  }
}

}  // namespace lgms::kernels
