#pragma once
// GELU by exp over the Vec of the file that includes this.
#include "kernels/activation/exp.h"

namespace {

// gelu(x) = x Phi(x), gelu'(x) = Phi(x) + x phi(x). With a = |x|, e = exp(-a^2 / 2) and t = 1 / (1 + 0.4 a):
// Phi(-a) = e (c1 t + ... + c6 t^6), and both Phi and gelu' are f(x) = 1 - f(-x). Beyond 12.7 nothing is left of e.
// The coefficients are a minimax fit of our own, by tests/oracle/fit_activations.py.
struct Gelu {
  Vec::T value, derivative;
  explicit Gelu(Vec::T x) {
    const Vec::T one = Vec::set1(1.f), edge = Vec::set1(12.7f), a = min(edge, abs(x));
    const Vec::T e = ExpMinus(Vec::mul(a, Vec::mul(a, Vec::set1(0.5f)))).value();
    const Vec::T t = divide(one, Vec::fma(a, Vec::set1(0.4f), one));
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

}  // namespace
