#pragma once
// Both passes of head.h over the Vec of the file that includes this: a unit's 16 tokens in one vector of 16 lanes, two
// of 8 or four of 4; a few rows (keys or queries) at a time, so that chains of products do not wait for themselves.
#include "kernels/attention/head.h"
#include "kernels/simd/math.h"

namespace {

using lgms::kernels::AttentionLaneGradients;
using lgms::kernels::AttentionLanes;

constexpr int kVectors = 16 / Vec::lanes;
constexpr int kKeys = Vec::lanes == 16 ? 8 : Vec::lanes == 8 ? 4 : 1;  // at a time in forward,
constexpr int kRows = Vec::lanes == 4 ? 1 : 4;                         // and in backward, where scores are two
constexpr float kHeadroom = 16;  // log2 of how far scores may exceed the shift before it is raised

// A number of each of the 16 tokens of a unit.
struct Tokens {
  Vec::T at[kVectors];
};

// f(vector), for all vectors, written out: GCC turns short loops over arrays into copies through the stack.
template <class F>
LGMS_INLINE Tokens each(const F& f) {
  if constexpr (kVectors == 1) return {f(0)};
  if constexpr (kVectors == 2) return {f(0), f(1)};
  if constexpr (kVectors == 4) return {f(0), f(1), f(2), f(3)};
}

LGMS_INLINE Tokens all(float v) {
  return each([&](int) { return Vec::set1(v); });
}
LGMS_INLINE Tokens load(const float* p) {
  return each([&](int i) { return Vec::load(p + i * Vec::lanes); });
}
LGMS_INLINE void store(float* p, const Tokens& v) {
  LGMS_UNROLL
  for (int i = 0; i < kVectors; ++i) Vec::store(p + i * Vec::lanes, v.at[i]);
}
LGMS_INLINE Tokens add(const Tokens& a, const Tokens& b) {
  return each([&](int i) { return Vec::add(a.at[i], b.at[i]); });
}
LGMS_INLINE Tokens subtract(const Tokens& a, const Tokens& b) {
  return each([&](int i) { return Vec::sub(a.at[i], b.at[i]); });
}
LGMS_INLINE Tokens multiply(const Tokens& a, const Tokens& b) {
  return each([&](int i) { return Vec::mul(a.at[i], b.at[i]); });
}
LGMS_INLINE Tokens fma(const Tokens& a, Vec::T b, const Tokens& c) {
  return each([&](int i) { return Vec::fma(a.at[i], b, c.at[i]); });
}
LGMS_INLINE Tokens exp2_of(const Tokens& x) {
  return each([&](int i) { return exp2_of<Vec>(x.at[i]); });
}

// Eight sums of every token, [8][16] in memory. Where a unit is one vector they stay in registers until they are put
// back; else they are read and written once for a few rows.
template <bool registers>
struct SumsIn {
  float* memory;
  Tokens at[registers ? 8 : 1];

  LGMS_INLINE explicit SumsIn(float* to) : memory(to) {
    LGMS_UNROLL
    for (int c = 0; c < 8; ++c) set(c, all(0.f));
  }
  LGMS_INLINE Tokens get(int c) const {
    if constexpr (registers)
      return at[c];
    else
      return load(memory + 16 * c);
  }
  LGMS_INLINE void set(int c, const Tokens& v) {
    if constexpr (registers)
      at[c] = v;
    else
      store(memory + 16 * c, v);
  }
  LGMS_INLINE void scale(const Tokens& factor) {
#pragma GCC unroll(kVectors == 1 ? 8 : 1)
    for (int c = 0; c < 8; ++c) set(c, multiply(get(c), factor));
  }
  LGMS_INLINE void put_back() const {
    LGMS_UNROLL
    for (int c = 0; registers && c < 8; ++c) store(memory + 16 * c, get(c));
  }
};
using Sums = SumsIn<kVectors == 1>;

// out[j] += sum_c lanes[c] * rows[j][c]
template <int count>
LGMS_INLINE void dots(const float* lanes, const float* rows, Tokens (&out)[count]) {
  LGMS_UNROLL
  for (int c = 0; c < 8; ++c) {
    const Tokens lane = load(lanes + 16 * c);
    LGMS_UNROLL
    for (int j = 0; j < count; ++j) out[j] = fma(lane, Vec::set1(rows[16 * j + c]), out[j]);
  }
}

// sums[c] += sum_j p[j] * rows[j][c]
template <int count>
LGMS_INLINE void add_rows(const Tokens (&p)[count], const float* rows, Sums& sums) {
  LGMS_UNROLL
  for (int c = 0; c < 8; ++c) {
    Tokens sum = sums.get(c);
    LGMS_UNROLL
    for (int j = 0; j < count; ++j) sum = fma(p[j], Vec::set1(rows[16 * j + c]), sum);
    sums.set(c, sum);
  }
}

struct Softmax {
  Tokens minus_shift, sum;
  Sums o;
};

// Scores of a few keys; then, rarely, where one exceeds the headroom, a higher shift for its token, and everything so
// far to match; then probabilities and values.
template <int count>
LGMS_INLINE void add_keys(Softmax& s, const float* q, const float* kv) {
  Tokens score[count];
  LGMS_UNROLL
  for (int j = 0; j < count; ++j) score[j] = s.minus_shift;
  dots<count>(q, kv, score);
  Tokens most = score[0];
  LGMS_UNROLL
  for (int j = 1; j < count; ++j) most = each([&](int i) { return Vec::max(most.at[i], score[j].at[i]); });
  const Vec::T headroom = Vec::set1(kHeadroom);
  Vec::Mask above = Vec::greater(most.at[0], headroom);
  LGMS_UNROLL
  for (int i = 1; i < kVectors; ++i) above = Vec::either(above, Vec::greater(most.at[i], headroom));
  if (__builtin_expect(Vec::any(above), 0)) {
    const Tokens raise = each([&](int i) { return Vec::keep(Vec::greater(most.at[i], headroom), most.at[i]); });
    const Tokens factor = exp2_of(subtract(all(0.f), raise));
    s.o.scale(factor);
    s.sum = multiply(s.sum, factor);
    s.minus_shift = subtract(s.minus_shift, raise);
    LGMS_UNROLL
    for (int j = 0; j < count; ++j) score[j] = subtract(score[j], raise);
  }
  LGMS_UNROLL
  for (int j = 0; j < count; ++j) {
    score[j] = exp2_of(score[j]);
    s.sum = add(s.sum, score[j]);
  }
  add_rows<count>(score, kv + 8, s.o);
}

LGMS_FLATTEN void forward(int64_t tokens, const float* kv, const float* q, float* o, float* shift, float* inverse) {
  // The first score as shift: the first p is about 1, so that the sum never vanishes.
  Tokens first[1] = {all(0.f)};
  dots<1>(q, kv, first);
  Softmax s{subtract(all(0.f), first[0]), all(0.f), Sums(o)};
  int64_t j = 0;
  for (; j + kKeys <= tokens; j += kKeys) add_keys<kKeys>(s, q, kv + 16 * j);
  for (; j < tokens; ++j) add_keys<1>(s, q, kv + 16 * j);
  const Tokens scale = each([&](int i) { return Vec::div(Vec::set1(1.f), s.sum.at[i]); });
  s.o.scale(scale);
  s.o.put_back();
  store(shift, subtract(all(0.f), s.minus_shift));
  store(inverse, scale);
}

// Queries in lanes, keys in rows.
template <int count>
LGMS_INLINE void add_query_gradients(const AttentionLanes& own, const float* kv, Sums& dq) {
  Tokens p[count], dp[count];
  LGMS_UNROLL
  for (int j = 0; j < count; ++j) p[j] = load(own.minus_shift);
  dots<count>(own.q[0], kv, p);
  LGMS_UNROLL
  for (int j = 0; j < count; ++j) {
    p[j] = exp2_of(p[j]);
    dp[j] = load(own.minus_delta);
  }
  dots<count>(own.dy[0], kv + 8, dp);
  LGMS_UNROLL
  for (int j = 0; j < count; ++j) dp[j] = multiply(p[j], dp[j]);
  add_rows<count>(dp, kv, dq);
}

// Keys in lanes, queries in rows.
template <int count>
LGMS_INLINE void add_key_gradients(const AttentionLanes& own, const float* qdy, const float* minus_shift,
                                   const float* minus_delta, Sums& dk, Sums& dv) {
  Tokens p[count], dp[count];
  LGMS_UNROLL
  for (int j = 0; j < count; ++j) p[j] = all(minus_shift[j]);
  dots<count>(own.k[0], qdy, p);
  LGMS_UNROLL
  for (int j = 0; j < count; ++j) p[j] = exp2_of(p[j]);
  if constexpr (kVectors == 1) {  // one broadcast for two products
    LGMS_UNROLL
    for (int j = 0; j < count; ++j) dp[j] = all(minus_delta[j]);
    LGMS_UNROLL
    for (int c = 0; c < 8; ++c) {
      const Tokens v = load(own.v[c]);
      Tokens sum = dv.get(c);
      LGMS_UNROLL
      for (int j = 0; j < count; ++j) {
        const Vec::T dy = Vec::set1(qdy[16 * j + 8 + c]);
        dp[j] = fma(v, dy, dp[j]);
        sum = fma(p[j], dy, sum);
      }
      dv.set(c, sum);
    }
  } else {  // which would take too many registers
    add_rows<count>(p, qdy + 8, dv);
    LGMS_UNROLL
    for (int j = 0; j < count; ++j) dp[j] = all(minus_delta[j]);
    dots<count>(own.v[0], qdy + 8, dp);
  }
  LGMS_UNROLL
  for (int j = 0; j < count; ++j) dp[j] = multiply(p[j], dp[j]);
  add_rows<count>(dp, qdy, dk);
}

LGMS_FLATTEN void query_gradients(int64_t tokens, const float* kv, const AttentionLanes& own,
                                  AttentionLaneGradients& out) {
  Sums dq(out.dq[0]);
  int64_t j = 0;
  for (; j + kRows <= tokens; j += kRows) add_query_gradients<kRows>(own, kv + 16 * j, dq);
  for (; j < tokens; ++j) add_query_gradients<1>(own, kv + 16 * j, dq);
  dq.put_back();
}

LGMS_FLATTEN void key_gradients(int64_t tokens, const float* qdy, const float* minus_shift, const float* minus_delta,
                                const AttentionLanes& own, AttentionLaneGradients& out) {
  Sums dk(out.dk[0]), dv(out.dv[0]);
  int64_t i = 0;
  for (; i + kRows <= tokens; i += kRows)
    add_key_gradients<kRows>(own, qdy + 16 * i, minus_shift + i, minus_delta + i, dk, dv);
  for (; i < tokens; ++i) add_key_gradients<1>(own, qdy + 16 * i, minus_shift + i, minus_delta + i, dk, dv);
  dk.put_back();
  dv.put_back();
}

}  // namespace

namespace lgms::kernels {

void LGMS_ROW(attention_head_forward)(int64_t tokens, const float* kv, const float* q, float* o, float* shift,
                                      float* inverse) {
  forward(tokens, kv, q, o, shift, inverse);
}

void LGMS_ROW(attention_head_backward)(int64_t tokens, const float* kv, const float* qdy, const float* minus_shift,
                                       const float* minus_delta, const AttentionLanes& own,
                                       AttentionLaneGradients& out) {
  query_gradients(tokens, kv, own, out);
  key_gradients(tokens, qdy, minus_shift, minus_delta, own, out);
}

}  // namespace lgms::kernels
