#pragma once
// The activations and their derivatives over the Vec of the file that includes this.
#include "kernels/activation/activation.h"
#include "kernels/simd/math.h"

namespace {

using lgms::kernels::Activation;

// silu(x) = x s, silu'(x) = s (1 + x (1 - s)), s = 1 / (1 + exp(-x)). Below -86 both stay what they are there, under
// 1e-34.
struct Silu {
  Vec::T value, derivative;
  explicit Silu(Vec::T x) {
    const Vec::T one = Vec::set1(1.f), low = Vec::max(Vec::set1(-86.f), x), w = Vec::min(Vec::set1(87.f), low);
    const ExpMinus e(w);
    const Vec::T d = Vec::fma(e.p, e.scale, one), s = Vec::div(one, d);
    value = Vec::div(low, d);
    derivative = Vec::mul(s, Vec::fma(w, Vec::sub(one, s), one));
  }
};

// f(i) for i < V, written out: GCC turns short loops over arrays into copies through the stack.
template <int V, class F>
LGMS_INLINE void each(const F& f) {
  static_assert(V == 1 || V == 4);
  f(0);
  if constexpr (V == 4) f(1), f(2), f(3);
}

// x > 0 ? a : b
inline Vec::T where_positive(Vec::T x, Vec::T a, Vec::T b) { return Vec::select(Vec::greater(x, Vec::zero()), a, b); }

inline Vec::T relu(Vec::T x) { return Vec::max(Vec::zero(), x); }

// x = activation(x), for V vectors.
template <int V>
inline void activate(Activation kind, Vec::T (&x)[V]) {
  switch (kind) {
    case Activation::none: return;
    case Activation::relu: return each<V>([&](int i) { x[i] = relu(x[i]); });
    case Activation::silu: return each<V>([&](int i) { x[i] = Silu(x[i]).value; });
    case Activation::gelu: return each<V>([&](int i) { x[i] = Gelu(x[i]).value; });
  }
}

// g = g * activation'(x).
template <int V>
inline void multiply_derivative(Activation kind, Vec::T (&x)[V], Vec::T (&g)[V]) {
  switch (kind) {
    case Activation::none: return;
    case Activation::relu: return each<V>([&](int i) { g[i] = where_positive(x[i], g[i], Vec::zero()); });
    case Activation::silu: return each<V>([&](int i) { g[i] = Vec::mul(g[i], Silu(x[i]).derivative); });
    case Activation::gelu: return each<V>([&](int i) { g[i] = Vec::mul(g[i], Gelu(x[i]).derivative); });
  }
}

// derivative = activation'(x), x = activation(x).
template <int V>
inline void differentiate(Activation kind, Vec::T (&x)[V], Vec::T (&derivative)[V]) {
  each<V>([&](int i) { derivative[i] = Vec::set1(1.f); });
  const auto by = [&](auto f) {
    each<V>([&](int i) {
      const auto result = f(x[i]);
      x[i] = result.value;
      derivative[i] = result.derivative;
    });
  };
  switch (kind) {
    case Activation::none: return;
    case Activation::relu:
      return each<V>([&](int i) {
        derivative[i] = where_positive(x[i], Vec::set1(1.f), Vec::zero());
        x[i] = relu(x[i]);
      });
    case Activation::silu: return by([](Vec::T v) { return Silu(v); });
    case Activation::gelu: return by([](Vec::T v) { return Gelu(v); });
  }
}

}  // namespace
