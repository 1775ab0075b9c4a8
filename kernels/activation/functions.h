#pragma once
// The activations and their derivatives over the Vec, Gelu and primitives of the math_*.h that comes before. All in an
// anonymous namespace: every ISA file has its own copy.
#include "kernels/activation/activation.h"

namespace {

using lgms::kernels::Activation;

// silu(x) = x s, silu'(x) = s (1 + x (1 - s)), s = 1 / (1 + exp(-x)). Below -86 both stay what they are there, under
// 1e-34.
struct Silu {
  Vec::T value, derivative;
  explicit Silu(Vec::T x) {
    const Vec::T one = Vec::set1(1.f), low = max(Vec::set1(-86.f), x), w = min(Vec::set1(87.f), low);
    const ExpMinus e(w);
    const Vec::T d = Vec::fma(e.p, e.scale, one), s = divide(one, d);
    value = divide(low, d);
    derivative = Vec::mul(s, Vec::fma(w, Vec::sub(one, s), one));
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
