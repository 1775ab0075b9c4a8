#include <immintrin.h>

#include "kernels/attention/head.h"

namespace lgms::kernels {
namespace {

#define LGMS_INLINE inline __attribute__((always_inline))
#define LGMS_UNROLL _Pragma("GCC unroll 16")

constexpr int kKeys = 8;         // keys at a time: enough chains of 8 FMAs to fill both units
constexpr float kHeadroom = 16;  // log2 of how far scores may exceed the shift before it is raised

// 2^x within 1.5 ULP: x - floor(x) in a minimax polynomial of degree 5 (relative error 8.2e-8, exact at 0), which
// vscalef multiplies by 2^floor(x).
LGMS_INLINE __m512 exp2_of(__m512 x) {
  const __m512 f = _mm512_reduce_ps(x, 0x09);
  __m512 p = _mm512_set1_ps(0x1.e96912p-10f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.277c1cp-7f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.c91c1p-5f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.ebdb6ap-3f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0x1.62e4bap-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.f));
  return _mm512_scalef_ps(p, x);
}

// start + sum_c a[c] * row[c]
LGMS_INLINE __m512 dot(const __m512 (&a)[8], const float* row, __m512 start) {
  LGMS_UNROLL
  for (int c = 0; c < 8; ++c) start = _mm512_fmadd_ps(a[c], _mm512_set1_ps(row[c]), start);
  return start;
}

LGMS_INLINE void load(__m512 (&into)[8], const float* lanes) {
  LGMS_UNROLL
  for (int c = 0; c < 8; ++c) into[c] = _mm512_load_ps(lanes + 16 * c);
}

// sums[c] += p * row[c]
LGMS_INLINE void add(__m512 (&sums)[8], __m512 p, const float* row) {
  LGMS_UNROLL
  for (int c = 0; c < 8; ++c) sums[c] = _mm512_fmadd_ps(p, _mm512_set1_ps(row[c]), sums[c]);
}

LGMS_INLINE void clear(__m512 (&sums)[8]) {
  LGMS_UNROLL
  for (int c = 0; c < 8; ++c) sums[c] = _mm512_setzero_ps();
}

LGMS_INLINE void store(float (&lanes)[8][16], const __m512 (&from)[8]) {
  LGMS_UNROLL
  for (int c = 0; c < 8; ++c) _mm512_store_ps(lanes[c], from[c]);
}

struct Softmax {
  __m512 q[8], o[8], minus_shift, sum;
};

// Keys [0, count): scores; then, rarely, a higher shift; then probabilities and values.
template <int count>
LGMS_INLINE void add_keys(Softmax& s, const float* kv) {
  __m512 score[count];
  LGMS_UNROLL
  for (int j = 0; j < count; ++j) score[j] = dot(s.q, kv + 16 * j, s.minus_shift);
  __m512 most = score[0];
  LGMS_UNROLL
  for (int j = 1; j < count; ++j) most = _mm512_max_ps(most, score[j]);
  const __mmask16 above = _mm512_cmp_ps_mask(most, _mm512_set1_ps(kHeadroom), _CMP_GT_OQ);
  if (__builtin_expect(above != 0, 0)) {
    const __m512 raise = _mm512_maskz_mov_ps(above, most);
    const __m512 factor = exp2_of(_mm512_sub_ps(_mm512_setzero_ps(), raise));
    LGMS_UNROLL
    for (int c = 0; c < 8; ++c) s.o[c] = _mm512_mul_ps(s.o[c], factor);
    s.sum = _mm512_mul_ps(s.sum, factor);
    s.minus_shift = _mm512_sub_ps(s.minus_shift, raise);
    LGMS_UNROLL
    for (int j = 0; j < count; ++j) score[j] = _mm512_sub_ps(score[j], raise);
  }
  LGMS_UNROLL
  for (int j = 0; j < count; ++j) {
    const __m512 p = exp2_of(score[j]);
    s.sum = _mm512_add_ps(s.sum, p);
    add(s.o, p, kv + 16 * j + 8);
  }
}

__attribute__((noinline)) void query_gradients(int64_t tokens, const float* kv, const AttentionLanes& own,
                                               AttentionLaneGradients& out) {
  __m512 q[8], dy[8], dq[8];
  load(q, own.q[0]);
  load(dy, own.dy[0]);
  clear(dq);
  const __m512 minus_shift = _mm512_load_ps(own.minus_shift), minus_delta = _mm512_load_ps(own.minus_delta);
  for (int64_t j = 0; j < tokens; ++j, kv += 16)
    add(dq, _mm512_mul_ps(exp2_of(dot(q, kv, minus_shift)), dot(dy, kv + 8, minus_delta)), kv);
  store(out.dq, dq);
}

__attribute__((noinline)) void key_gradients(int64_t tokens, const float* qdy, const float* minus_shift,
                                             const float* minus_delta, const AttentionLanes& own,
                                             AttentionLaneGradients& out) {
  __m512 k[8], v[8], dk[8], dv[8];
  load(k, own.k[0]);
  load(v, own.v[0]);
  clear(dk);
  clear(dv);
  for (int64_t i = 0; i < tokens; ++i, qdy += 16) {
    const __m512 p = exp2_of(dot(k, qdy, _mm512_set1_ps(minus_shift[i])));
    const __m512 ds = _mm512_mul_ps(p, dot(v, qdy + 8, _mm512_set1_ps(minus_delta[i])));
    add(dv, p, qdy + 8);
    add(dk, ds, qdy);
  }
  store(out.dk, dk);
  store(out.dv, dv);
}

}  // namespace

void attention_head_forward_avx512(int64_t tokens, const float* kv, const float* q, float* o, float* shift,
                                   float* inverse) {
  Softmax s;
  load(s.q, q);
  clear(s.o);
  s.sum = _mm512_setzero_ps();
  // The first score as shift: the first p is about 1, so that the sum never vanishes.
  s.minus_shift = _mm512_sub_ps(_mm512_setzero_ps(), dot(s.q, kv, _mm512_setzero_ps()));
  int64_t j = 0;
  for (; j + kKeys <= tokens; j += kKeys) add_keys<kKeys>(s, kv + 16 * j);
  for (; j < tokens; ++j) add_keys<1>(s, kv + 16 * j);
  const __m512 scale = _mm512_div_ps(_mm512_set1_ps(1.f), s.sum);
  LGMS_UNROLL
  for (int c = 0; c < 8; ++c) _mm512_store_ps(o + 16 * c, _mm512_mul_ps(s.o[c], scale));
  _mm512_store_ps(shift, _mm512_sub_ps(_mm512_setzero_ps(), s.minus_shift));
  _mm512_store_ps(inverse, scale);
}

void attention_head_backward_avx512(int64_t tokens, const float* kv, const float* qdy, const float* minus_shift,
                                    const float* minus_delta, const AttentionLanes& own, AttentionLaneGradients& out) {
  query_gradients(tokens, kv, own, out);
  key_gradients(tokens, qdy, minus_shift, minus_delta, own, out);
}

}  // namespace lgms::kernels
