#pragma once
#include <cmath>
#include <numbers>

#include "kernels/activation/activation.h"

namespace lgms::kernels {

template <class T>
T activate(Activation kind, T x) {
  switch (kind) {
    case Activation::none: return x;
    case Activation::relu: return x < 0 ? T{0} : x;  // NaN stays
    case Activation::silu: return x / (1 + std::exp(-x));
    case Activation::gelu: return T(0.5) * x * std::erfc(-x * T(std::numbers::sqrt2 / 2));
  }
  return x;
}

template <class T>
T activation_derivative(Activation kind, T x) {
  switch (kind) {
    case Activation::none: return 1;
    case Activation::relu: return x > 0;
    case Activation::silu: {
      const T s = 1 / (1 + std::exp(-x));
      return s * (1 + x * (1 - s));
    }
    case Activation::gelu:  // Phi(x) + x * phi(x)
      return T(0.5) * std::erfc(-x * T(std::numbers::sqrt2 / 2)) +
             x * std::exp(T(-0.5) * x * x) * T(std::numbers::inv_sqrtpi / std::numbers::sqrt2);
  }
  return 1;
}

// What an epilogue does behind the bias, to a pixel of c channels.
template <class T>
void finish(const Epilogue<Strided<T>>& e, int64_t c, int64_t pixel, T* y) {
  if (!finishes(e)) return;
  for (int64_t i = 0; i < c; ++i) {
    T v = activate(e.before, y[i]);
    if (e.norm.data) v = e.norm.data[e.norm.ld + i] * (v - e.norm.data[i]) + e.norm.data[2 * e.norm.ld + i];
    y[i] = activate(e.after, v) + (e.residual.data ? e.residual.data[pixel * e.residual.ld + i] : T{0});
  }
}

// Adds a pixel of c channels to moments [3, c]; the first one of a block begins them.
template <class T>
void add_moments(const T* y, int64_t c, bool begins, T* partial) {
  for (int64_t i = 0; i < c; ++i) {
    if (begins) {
      partial[i] = y[i];
      partial[c + i] = partial[2 * c + i] = 0;
    }
    const T u = y[i] - partial[i];
    partial[c + i] += u;
    partial[2 * c + i] += u * u;
  }
}

template <class T>
void activation_forward_reference(const ActivationDims& d, const T* x, T* y) {
  for (int64_t r = 0; r < d.rows; ++r)
    for (int64_t c = 0; c < d.c; ++c) y[r * d.ldy + c] = activate(d.kind, x[r * d.ldx + c]);
}

template <class T>
void activation_backward_reference(const ActivationDims& d, const T* x, const T* dy, T* dx) {
  for (int64_t r = 0; r < d.rows; ++r)
    for (int64_t c = 0; c < d.c; ++c)
      dx[r * d.ldy + c] = dy[r * d.lddy + c] * activation_derivative(d.kind, x[r * d.ldx + c]);
}

}  // namespace lgms::kernels
