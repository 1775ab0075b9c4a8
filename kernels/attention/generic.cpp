// From the reference: packed heads, every score computed once, 16 tokens side by side (168 us for 16 tokens against
// 1024: the compiler vectorised little of it); the same in four vectors of the compiler's own (SSE2, NEON, or plain
// code): 44 us.
#include "kernels/attention/head.h"

namespace lgms::kernels {
namespace {

typedef float Vector __attribute__((vector_size(16), may_alias));
typedef int32_t Bits __attribute__((vector_size(16)));

constexpr int kVectors = 4;
constexpr float kHeadroom = 16;  // log2 of how far scores may exceed the shift before it is raised

Vector all(float x) { return Vector{x, x, x, x}; }
Vector* vectors(float* lanes) { return reinterpret_cast<Vector*>(lanes); }  // aligned: head.h
const Vector* vectors(const float* lanes) { return reinterpret_cast<const Vector*>(lanes); }

// 2^x within 1 ULP for -126 <= x < 128, 2^-126 below: x - round(x) in a minimax polynomial of degree 6 (relative error
// 7e-9, exact at 0), times 2^round(x) made of exponent bits. NaN stays NaN.
Vector exp2_of(Vector x) {
  constexpr float kRound = 0x1.8p23f + 127;  // adding it leaves round(x) + 127 in the low bits
  const Vector least = all(-126.f);
  x = x < least ? least : x;
  const Vector t = x + kRound, f = x - (t - kRound);
  Vector p = all(0x1.4c127cp-13f);
  p = p * f + 0x1.5fbfa2p-10f;
  p = p * f + 0x1.3b21c8p-7f;
  p = p * f + 0x1.c6ada8p-5f;
  p = p * f + 0x1.ebfbe6p-3f;
  p = p * f + 0x1.62e432p-1f;
  p = p * f + 1.f;
  return p * reinterpret_cast<Vector>(reinterpret_cast<Bits>(t) << 23);
}

// s[l] = start[l] + sum_c lanes[c][l] * row[c]
void dot(const float* lanes, const float* row, const Vector* start, Vector* s) {
  Vector sum[kVectors] = {start[0], start[1], start[2], start[3]};
  for (int c = 0; c < 8; ++c)
    for (int l = 0; l < kVectors; ++l) sum[l] += vectors(lanes)[kVectors * c + l] * row[c];
  for (int l = 0; l < kVectors; ++l) s[l] = sum[l];
}

// sums[c][l] += p[l] * row[c]
void add(const Vector* p, const float* row, float* sums) {
  const Vector factor[kVectors] = {p[0], p[1], p[2], p[3]};
  for (int c = 0; c < 8; ++c)
    for (int l = 0; l < kVectors; ++l) vectors(sums)[kVectors * c + l] += factor[l] * row[c];
}

bool any_above(const Vector* s, float limit) {
  const Bits above = (s[0] > limit) | (s[1] > limit) | (s[2] > limit) | (s[3] > limit);
  return (above[0] | above[1] | above[2] | above[3]) != 0;
}

}  // namespace

void attention_head_forward_generic(int64_t tokens, const float* kv, const float* q, float* o, float* shift,
                                    float* inverse) {
  Vector minus_shift[kVectors] = {}, sum[kVectors] = {}, s[kVectors];
  dot(q, kv, minus_shift, s);
  // The first score as shift: the first p is about 1, so that the sum never vanishes.
  for (int l = 0; l < kVectors; ++l) minus_shift[l] = -s[l];
  for (int i = 0; i < 8 * kVectors; ++i) vectors(o)[i] = Vector{};
  for (int64_t j = 0; j < tokens; ++j, kv += 16) {
    dot(q, kv, minus_shift, s);
    if (any_above(s, kHeadroom)) [[unlikely]]
      for (int l = 0; l < kVectors; ++l) {
        const Vector raise = s[l] > kHeadroom ? s[l] : Vector{}, factor = exp2_of(-raise);
        for (int c = 0; c < 8; ++c) vectors(o)[kVectors * c + l] *= factor;
        sum[l] *= factor;
        minus_shift[l] -= raise;
        s[l] -= raise;
      }
    for (int l = 0; l < kVectors; ++l) {
      s[l] = exp2_of(s[l]);
      sum[l] += s[l];
    }
    add(s, kv + 8, o);
  }
  for (int l = 0; l < kVectors; ++l) {
    const Vector scale = 1.f / sum[l];
    for (int c = 0; c < 8; ++c) vectors(o)[kVectors * c + l] *= scale;
    vectors(shift)[l] = -minus_shift[l];
    vectors(inverse)[l] = scale;
  }
}

void attention_head_backward_generic(int64_t tokens, const float* kv, const float* qdy, const float* minus_shift,
                                     const float* minus_delta, const AttentionLanes& own, AttentionLaneGradients& out) {
  Vector p[kVectors], ds[kVectors], start[kVectors];
  out = {};
  for (int64_t j = 0; j < tokens; ++j) {  // the unit's tokens are queries, j a key
    dot(own.q[0], kv + 16 * j, vectors(own.minus_shift), p);
    dot(own.dy[0], kv + 16 * j + 8, vectors(own.minus_delta), ds);
    for (int l = 0; l < kVectors; ++l) ds[l] *= exp2_of(p[l]);
    add(ds, kv + 16 * j, out.dq[0]);
  }
  for (int64_t i = 0; i < tokens; ++i) {  // the unit's tokens are keys, i a query
    for (int l = 0; l < kVectors; ++l) start[l] = all(minus_shift[i]);
    dot(own.k[0], qdy + 16 * i, start, p);
    for (int l = 0; l < kVectors; ++l) start[l] = all(minus_delta[i]);
    dot(own.v[0], qdy + 16 * i + 8, start, ds);
    for (int l = 0; l < kVectors; ++l) {
      p[l] = exp2_of(p[l]);
      ds[l] *= p[l];
    }
    add(p, qdy + 16 * i + 8, out.dv[0]);
    add(ds, qdy + 16 * i, out.dk[0]);
  }
}

}  // namespace lgms::kernels
