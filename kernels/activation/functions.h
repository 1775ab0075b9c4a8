#pragma once
// exp, SiLU, GELU and their derivatives over the Vec of the file that includes this. The coefficients are minimax fits
// of our own, by tests/oracle/fit_activations.py. All in an anonymous namespace: every ISA file has its own copy.
#include "kernels/activation/activation.h"

namespace {

using lgms::kernels::Activation;

// exp(-w) for w in [-87, 87]: exp(-w) = 2^n exp(-r), r = w + n ln 2 in two steps (Cody & Waite), |r| <= ln(2) / 2;
// exp(-r) = 1 - r + r^2 p(r).
inline Vec::T exp_minus(Vec::T w) {
  const Vec::T round = Vec::set1(12583039.f);  // 1.5 * 2^23 + 127: what is added to it ends in the low bits
  const Vec::T t = Vec::fnma(w, Vec::set1(1.44269504f), round), n = Vec::sub(t, round);
  const Vec::T r = Vec::fma(n, Vec::set1(1.4286068e-6f), Vec::fma(n, Vec::set1(0.693145752f), w));
  Vec::T p = Vec::fma(r, Vec::set1(1.3814222e-3f), Vec::set1(-8.368899e-3f));
  p = Vec::fma(r, p, Vec::set1(4.1668404e-2f));
  p = Vec::fma(r, p, Vec::set1(-1.666652e-1f));
  p = Vec::fma(r, p, Vec::set1(4.9999994e-1f));
  p = Vec::fma(Vec::mul(r, r), p, Vec::sub(Vec::set1(1.f), r));
  return Vec::mul(p, exponent(t));
}

// silu(x) = x s, silu'(x) = s (1 + x (1 - s)), s = 1 / (1 + e), 1 - s = e s, e = exp(-x). Below -86 both stay where
// they are there, under 1e-34.
struct Silu {
  Vec::T value, derivative;
  explicit Silu(Vec::T x) {
    const Vec::T one = Vec::set1(1.f), low = max(Vec::set1(-86.f), x), w = min(Vec::set1(87.f), low);
    const Vec::T e = exp_minus(w), s = reciprocal(Vec::add(one, e));
    value = Vec::mul(low, s);
    derivative = Vec::mul(s, Vec::fma(w, Vec::mul(e, s), one));
  }
};

// gelu(x) = x Phi(x), gelu'(x) = Phi(x) + x phi(x). With a = |x|, e = exp(-a^2 / 2) and t = 1 / (1 + 0.4 a):
// Phi(-a) = e (c1 t + ... + c6 t^6), and both Phi and gelu' are f(x) = 1 - f(-x). Beyond 12.7 nothing is left of e.
struct Gelu {
  Vec::T value, derivative;
  explicit Gelu(Vec::T x) {
    const Vec::T one = Vec::set1(1.f), edge = Vec::set1(12.7f), a = min(edge, abs(x));
    const Vec::T e = exp_minus(Vec::mul(a, Vec::mul(a, Vec::set1(0.5f))));
    const Vec::T t = reciprocal(Vec::fma(a, Vec::set1(0.4f), one));
    Vec::T p = Vec::fma(t, Vec::set1(5.576831e-2f), Vec::set1(-2.5239396e-1f));
    p = Vec::fma(t, p, Vec::set1(3.3634064e-1f));
    p = Vec::fma(t, p, Vec::set1(1.5610675e-2f));
    p = Vec::fma(t, p, Vec::set1(1.8784998e-1f));
    p = Vec::fma(t, p, Vec::set1(1.5682432e-1f));
    const Vec::T tail = Vec::mul(e, Vec::mul(t, p));                                // Phi(-a)
    const Vec::T slope = Vec::fnma(Vec::mul(a, Vec::set1(0.398942280f)), e, tail);  // gelu'(-a)
    value = Vec::mul(max(Vec::sub(Vec::zero(), edge), x), where_positive(x, Vec::sub(one, tail), tail));
    derivative = where_positive(x, Vec::sub(one, slope), slope);
  }
};

inline Vec::T relu(Vec::T x) { return max(Vec::zero(), x); }

// x = activation(x), for V vectors.
template <int V>
inline void activate(Activation kind, Vec::T (&x)[V]) {
  switch (kind) {
    case Activation::none: return;
    case Activation::relu:
      for (Vec::T& v : x) v = relu(v);
      return;
    case Activation::silu:
      for (Vec::T& v : x) v = Silu(v).value;
      return;
    case Activation::gelu:
      for (Vec::T& v : x) v = Gelu(v).value;
      return;
  }
}

// g = g * activation'(x).
template <int V>
inline void multiply_derivative(Activation kind, Vec::T (&x)[V], Vec::T (&g)[V]) {
  switch (kind) {
    case Activation::none: return;
    case Activation::relu:
      for (int v = 0; v < V; ++v) g[v] = where_positive(x[v], g[v], Vec::zero());
      return;
    case Activation::silu:
      for (int v = 0; v < V; ++v) g[v] = Vec::mul(g[v], Silu(x[v]).derivative);
      return;
    case Activation::gelu:
      for (int v = 0; v < V; ++v) g[v] = Vec::mul(g[v], Gelu(x[v]).derivative);
      return;
  }
}

// derivative = activation'(x), x = activation(x).
template <int V>
inline void differentiate(Activation kind, Vec::T (&x)[V], Vec::T (&derivative)[V]) {
  for (int v = 0; v < V; ++v) derivative[v] = Vec::set1(1.f);
  switch (kind) {
    case Activation::none: return;
    case Activation::relu:
      for (int v = 0; v < V; ++v) derivative[v] = where_positive(x[v], derivative[v], Vec::zero()), x[v] = relu(x[v]);
      return;
    case Activation::silu:
      for (int v = 0; v < V; ++v) {
        const Silu f(x[v]);
        x[v] = f.value, derivative[v] = f.derivative;
      }
      return;
    case Activation::gelu:
      for (int v = 0; v < V; ++v) {
        const Gelu f(x[v]);
        x[v] = f.value, derivative[v] = f.derivative;
      }
      return;
  }
}

}  // namespace
