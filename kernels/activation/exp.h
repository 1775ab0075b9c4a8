#pragma once
// exp over the Vec of the file that includes this. The coefficients are a minimax fit of our own, by
// tests/oracle/fit_activations.py.

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
    scale = exponent(t);
  }
  Vec::T value() const { return Vec::mul(p, scale); }
};

}  // namespace
