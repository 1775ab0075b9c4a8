#pragma once
// What the activations need of 16 floats beyond arithmetic.
#include "kernels/convolution/vector_avx512.h"

namespace {

// The second where one is NaN. (A full mask: the plain forms make GCC 12 warn of its own header.)
inline Vec::T max(Vec::T a, Vec::T b) { return _mm512_maskz_max_ps(0xffff, a, b); }
inline Vec::T min(Vec::T a, Vec::T b) { return _mm512_maskz_min_ps(0xffff, a, b); }
inline Vec::T abs(Vec::T a) { return _mm512_abs_ps(a); }
// x > 0 ? a : b
inline Vec::T where_positive(Vec::T x, Vec::T a, Vec::T b) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ), b, a);
}
// As fast as 14 bits and a Newton step: the divider works beside the multipliers.
inline Vec::T divide(Vec::T a, Vec::T b) { return _mm512_div_ps(a, b); }
// The float whose exponent field is in the low bits of a.
inline Vec::T exponent(Vec::T a) {
  return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xffff, _mm512_castps_si512(a), 23));
}

// n ln 2 + w for a whole number n.
inline Vec::T plus_ln2(Vec::T n, Vec::T w) { return Vec::fma(n, Vec::set1(0.693147182f), w); }

}  // namespace

#include "kernels/activation/gelu_avx512.h"
