#pragma once
// 8 floats. In an anonymous namespace, as everything that AVX code inlines: no symbol of it may replace a portable one.
#include <immintrin.h>

namespace {

struct Vec {
  using T = __m256;
  static constexpr int lanes = 8;
  static T zero() { return _mm256_setzero_ps(); }
  static T set1(float v) { return _mm256_set1_ps(v); }
  static T load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, T v) { _mm256_storeu_ps(p, v); }
  // The first n lanes of memory, n <= lanes; a load leaves the others 0.
  static T load(const float* p, long n) { return _mm256_maskload_ps(p, mask(n)); }
  static void store(float* p, T v, long n) { _mm256_maskstore_ps(p, mask(n), v); }
  // p[0], p[stride], ...: n lanes, the others 0.
  static T gather(const float* p, long stride, long n) {
    const __m256i at =
        _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(static_cast<int>(stride)));
    return _mm256_mask_i32gather_ps(zero(), p, at, _mm256_castsi256_ps(mask(n)), 4);
  }
  static T add(T a, T b) { return _mm256_add_ps(a, b); }
  static T sub(T a, T b) { return _mm256_sub_ps(a, b); }
  static T mul(T a, T b) { return _mm256_mul_ps(a, b); }
  static T fma(T a, T b, T c) { return _mm256_fmadd_ps(a, b, c); }    // a * b + c
  static T fnma(T a, T b, T c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a * b
  static __m256i mask(long n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
};

}  // namespace
