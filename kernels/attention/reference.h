#pragma once
#include <cmath>
#include <numbers>

#include "kernels/attention/unit.h"

namespace lgms::kernels {

template <class T>
T attention_dot(const T* a, const T* b) {
  T sum = 0;
  for (int64_t c = 0; c < kHeadDim; ++c) sum += a[c] * b[c];
  return sum;
}

// Scores are taken to base 2: exp(s) = exp2(s log2(e)).
template <class T>
constexpr T kAttentionScale = static_cast<T>(std::numbers::log2e * 0.35355339059327376220);  // log2(e) / sqrt(8)

template <class T>
void attention_forward_reference(const AttentionDims& d, int64_t first, int64_t last, const T* qkv, T* y, T* statistics,
                                 T*) {
  const int64_t third = d.heads * kHeadDim, tokens = d.tokens();
  for (int64_t unit = first; unit < last; ++unit) {
    const AttentionUnit u(d, unit);
    for (int64_t i = u.first; i < u.last; ++i) {
      const T* q = qkv + u.row(i) * d.ldqkv + u.head * kHeadDim;
      const auto k = [&](int64_t j) { return qkv + u.row(j) * d.ldqkv + third + u.head * kHeadDim; };
      const auto score = [&](int64_t j) { return attention_dot(q, k(j)) * kAttentionScale<T>; };
      T shift = score(0), sum = 0, o[kHeadDim] = {};
      for (int64_t j = 1; j < tokens; ++j) shift = std::max(shift, score(j));
      for (int64_t j = 0; j < tokens; ++j) {
        const T p = std::exp2(score(j) - shift);
        sum += p;
        for (int64_t c = 0; c < kHeadDim; ++c) o[c] += p * k(j)[third + c];
      }
      for (int64_t c = 0; c < kHeadDim; ++c) y[u.row(i) * d.ldy + u.head * kHeadDim + c] = o[c] / sum;
      T* const s = statistics + (u.row(i) * d.heads + u.head) * 2;
      s[0] = shift;
      s[1] = 1 / sum;
    }
  }
}

// What backward knows of a token: its rows, and p of it as query.
template <class T>
struct AttentionToken {
  AttentionToken(const AttentionUnit& u, int64_t token, const T* qkv, const T* y, const T* statistics,
                 const T* gradient)
      : q(qkv + u.row(token) * u.d.ldqkv + u.head * kHeadDim),
        k(q + u.d.heads * kHeadDim),
        v(k + u.d.heads * kHeadDim),
        dy(gradient + u.row(token) * u.d.lddy + u.head * kHeadDim),
        delta(attention_dot(dy, y + u.row(token) * u.d.ldy + u.head * kHeadDim)),
        statistic(statistics + (u.row(token) * u.d.heads + u.head) * 2) {}
  T p(const AttentionToken& key) const {
    return std::exp2(attention_dot(q, key.k) * kAttentionScale<T> - statistic[0]) * statistic[1];
  }
  T ds(const AttentionToken& key) const { return p(key) * (attention_dot(dy, key.v) - delta); }

  const T *q, *k, *v, *dy;
  T delta;
  const T* statistic;
};

template <class T>
void attention_backward_reference(const AttentionDims& d, int64_t first, int64_t last, const T* qkv, const T* y,
                                  const T* statistics, const T* dy, T* dqkv, T*) {
  const T scale = static_cast<T>(0.35355339059327376220);
  for (int64_t unit = first; unit < last; ++unit) {
    const AttentionUnit u(d, unit);
    const auto token = [&](int64_t i) { return AttentionToken<T>(u, i, qkv, y, statistics, dy); };
    for (int64_t i = u.first; i < u.last; ++i) {
      const AttentionToken<T> here = token(i);
      T dq[kHeadDim] = {}, dk[kHeadDim] = {}, dv[kHeadDim] = {};
      for (int64_t j = 0; j < d.tokens(); ++j) {
        const AttentionToken<T> other = token(j);
        const T ds = here.ds(other), ds_other = other.ds(here), p_other = other.p(here);
        for (int64_t c = 0; c < kHeadDim; ++c) {
          dq[c] += ds * other.k[c] * scale;
          dk[c] += ds_other * other.q[c] * scale;
          dv[c] += p_other * other.dy[c];
        }
      }
      T* const out = dqkv + u.row(i) * d.lddqkv + u.head * kHeadDim;
      std::copy_n(dq, kHeadDim, out);
      std::copy_n(dk, kHeadDim, out + d.heads * kHeadDim);
      std::copy_n(dv, kHeadDim, out + 2 * d.heads * kHeadDim);
    }
  }
}

}  // namespace lgms::kernels
