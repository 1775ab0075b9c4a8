#pragma once
// What the activations need of 16 floats beyond arithmetic.
#include "kernels/convolution/vector_avx512.h"

namespace {

// The second where one is NaN.
inline Vec::T max(Vec::T a, Vec::T b) { return _mm512_max_ps(a, b); }
inline Vec::T min(Vec::T a, Vec::T b) { return _mm512_min_ps(a, b); }
inline Vec::T abs(Vec::T a) { return _mm512_abs_ps(a); }
// x > 0 ? a : b
inline Vec::T where_positive(Vec::T x, Vec::T a, Vec::T b) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ), b, a);
}
// 1 / a for a in [1, 2^125], to 1 ULP: 14 bits and one Newton step. Intel divides 16 floats in 8 cycles or more.
inline Vec::T reciprocal(Vec::T a) {
  const __m512 r = _mm512_rcp14_ps(a);
  return _mm512_fmadd_ps(r, _mm512_fnmadd_ps(a, r, _mm512_set1_ps(1.f)), r);
}
// The float whose exponent field is in the low bits of a.
inline Vec::T exponent(Vec::T a) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a), 23)); }

}  // namespace
