#pragma once
// exp, exp2 and GELU over the Vec of the file that includes this. The coefficients are minimax fits of our own, those
// of exp and GELU by tests/oracle/fit_activations.py.
#include "kernels/simd/gelu_tables.h"
#include "kernels/simd/lanes.h"

namespace {

// exp(-w) = p * scale for w in [-87, 87]: scale = 2^n, p = exp(-r), r = w + n ln 2, |r| <= ln(2) / 2.
struct ExpMinus {
  Vec::T p, scale;
  explicit ExpMinus(Vec::T w) {
    const Vec::T round = Vec::set1(12583039.f);  // 1.5 * 2^23 + 127: what is added to it ends in the low bits
    const Vec::T t = Vec::fnma(w, Vec::set1(1.44269504f), round), r = plus_ln2(Vec::sub(t, round), w);
    p = Vec::fma(r, Vec::set1(1.3814222e-3f), Vec::set1(-8.368899e-3f));
    p = Vec::fma(r, p, Vec::set1(4.1668404e-2f));
    p = Vec::fma(r, p, Vec::set1(-1.666652e-1f));
    p = Vec::fma(r, p, Vec::set1(4.9999994e-1f));
    p = Vec::fma(r, p, Vec::set1(-1.f));
    p = Vec::fma(r, p, Vec::set1(1.f));
    scale = Vec::exponent(t);
  }
  Vec::T value() const { return Vec::mul(p, scale); }

 private:
  // n ln 2 + w for a whole number n below 256: fused, or in two steps, of which the first is exact (Cody & Waite).
  static Vec::T plus_ln2(Vec::T n, Vec::T w) {
    if (Vec::fused) return Vec::fma(n, Vec::set1(0.693147182f), w);
    return Vec::add(Vec::fma(n, Vec::set1(0.693145752f), w), Vec::mul(n, Vec::set1(1.4286068e-6f)));
  }
};

// gelu(x) = x Phi(x), gelu'(x) = Phi(x) + x phi(x). Both Phi and gelu' are f(x) = 1 - f(-x).

// By exp: with a = |x|, e = exp(-a^2 / 2) and t = 1 / (1 + 0.4 a), Phi(-a) = e (c1 t + ... + c6 t^6). Beyond 12.7
// nothing is left of e.
template <class V>
struct GeluByExp {
  using T = typename V::T;
  T value, derivative;
  explicit GeluByExp(T x) {
    const T one = V::set1(1.f), edge = V::set1(12.7f), a = V::min(edge, V::abs(x));
    const T e = ExpMinus(V::mul(a, V::mul(a, V::set1(0.5f)))).value();
    const T t = V::div(one, V::fma(a, V::set1(0.4f), one));
    T p = V::fma(t, V::set1(5.576831e-2f), V::set1(-2.5239396e-1f));
    p = V::fma(t, p, V::set1(3.3634064e-1f));
    p = V::fma(t, p, V::set1(1.5610675e-2f));
    p = V::fma(t, p, V::set1(1.8784998e-1f));
    p = V::fma(t, p, V::set1(1.5682432e-1f));
    const T tail = V::mul(e, V::mul(t, p));                              // Phi(-a)
    const T slope = V::fnma(V::mul(a, V::set1(0.398942280f)), e, tail);  // gelu'(-a)
    const auto positive = V::greater(x, V::zero());
    value = V::mul(V::max(V::sub(V::zero(), edge), x), V::select(positive, V::sub(one, tail), tail));
    derivative = V::select(positive, V::sub(one, slope), slope);
  }
};

// From tables that live in registers: half the instructions. t = 5 a - k, k = round(5 a).
template <class V>
struct GeluByTables {
  using T = typename V::T;
  T value, derivative;
  explicit GeluByTables(T x) {
    const T round = V::set1(12582912.f), five = V::set1(5.f);  // 1.5 * 2^23
    const T a = V::min(V::set1(6.2f), V::abs(x)), k = V::fma(a, five, round);
    const T t = V::fms(a, five, V::sub(k, round));
    const auto positive = V::greater(x, V::zero());
    const auto mirrored = [&](const float(&table)[5][32]) {
      T p = V::fma(t, V::lookup(table[4], k), V::lookup(table[3], k));
      p = V::fma(t, p, V::lookup(table[2], k));
      p = V::fma(t, p, V::lookup(table[1], k));
      p = V::fma(t, p, V::lookup(table[0], k));
      return V::select(positive, V::sub(V::set1(1.f), p), p);
    };
    value = V::mul(x, mirrored(kNormalTail));
    derivative = mirrored(kGeluSlope);
  }
};
using Gelu = ByLanes<GeluByTables<Vec>, GeluByExp<Vec>, GeluByExp<Vec>>;

// A polynomial, its highest coefficient first.
template <class V, int count>
LGMS_INLINE typename V::T horner(typename V::T x, const float (&c)[count]) {
  typename V::T p = V::set1(c[0]);
  LGMS_UNROLL
  for (int i = 1; i < count; ++i) p = V::fma(p, x, V::set1(c[i]));
  return p;
}

// 2^x, for 8 and 16 lanes within 1.5 ULP, for 4 within 1: x - floor(x) in a minimax polynomial of degree 5 (relative
// error 8.2e-8, exact at 0), or x - round(x), where floor may be no instruction, in one of degree 6 (7e-9), times a
// power of two, made by an instruction of 16 lanes, else of exponent bits; then it is 2^-126 below -126. NaN stays NaN.
template <class V = Vec>
LGMS_INLINE typename V::T exp2_of(typename V::T x) {
  using T = typename V::T;
  constexpr float fifth[] = {0x1.e96912p-10f, 0x1.277c1cp-7f, 0x1.c91c1p-5f, 0x1.ebdb6ap-3f, 0x1.62e4bap-1f, 1.f};
  constexpr float sixth[] = {
      0x1.4c127cp-13f, 0x1.5fbfa2p-10f, 0x1.3b21c8p-7f, 0x1.c6ada8p-5f, 0x1.ebfbe6p-3f, 0x1.62e432p-1f, 1.f};
  const T round = V::set1(0x1.8p23f + 127);  // what is added to it, plus 127, ends in the low bits
  if constexpr (V::lanes == 16) {
    return V::scale(horner<V>(V::fraction(x), fifth), x);
  } else if constexpr (V::lanes == 8) {
    x = V::max(V::set1(-126.f), x);
    const T n = V::floor(x);
    return V::mul(horner<V>(V::sub(x, n), fifth), V::exponent(V::add(n, round)));
  } else {
    x = V::max(V::set1(-126.f), x);
    const T t = V::add(x, round);
    return V::mul(horner<V>(V::sub(x, V::sub(t, round)), sixth), V::exponent(t));
  }
}

}  // namespace
