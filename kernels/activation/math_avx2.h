#pragma once
// What the activations need of 8 floats beyond arithmetic.
#include "kernels/convolution/vector_avx2.h"

namespace {

// The second where one is NaN.
inline Vec::T max(Vec::T a, Vec::T b) { return _mm256_max_ps(a, b); }
inline Vec::T min(Vec::T a, Vec::T b) { return _mm256_min_ps(a, b); }
inline Vec::T abs(Vec::T a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.f), a); }
// x > 0 ? a : b
inline Vec::T where_positive(Vec::T x, Vec::T a, Vec::T b) {
  return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GT_OQ));
}
inline Vec::T divide(Vec::T a, Vec::T b) { return _mm256_div_ps(a, b); }
// The float whose exponent field is in the low bits of a.
inline Vec::T exponent(Vec::T a) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a), 23)); }

// n ln 2 + w for a whole number n.
inline Vec::T plus_ln2(Vec::T n, Vec::T w) { return Vec::fma(n, Vec::set1(0.693147182f), w); }

}  // namespace

#include "kernels/activation/gelu.h"
