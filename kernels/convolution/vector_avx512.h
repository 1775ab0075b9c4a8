#pragma once
// 16 floats. In an anonymous namespace, as everything that AVX code inlines: no symbol of it may replace a portable
// one.
#include <immintrin.h>

namespace {

struct Vec {
  using T = __m512;
  static constexpr int lanes = 16;
  static T zero() { return _mm512_setzero_ps(); }
  static T set1(float v) { return _mm512_set1_ps(v); }
  static T load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, T v) { _mm512_storeu_ps(p, v); }
  // The first n lanes of memory, n <= lanes; a load leaves the others 0.
  static T load(const float* p, long n) { return _mm512_maskz_loadu_ps(mask(n), p); }
  static void store(float* p, T v, long n) { _mm512_mask_storeu_ps(p, mask(n), v); }
  // p[0], p[stride], ...: n lanes, the others 0.
  static T gather(const float* p, long stride, long n) {
    const __m512i at = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                          _mm512_set1_epi32(static_cast<int>(stride)));
    return _mm512_mask_i32gather_ps(zero(), mask(n), at, p, 4);
  }
  static T add(T a, T b) { return _mm512_add_ps(a, b); }
  static T sub(T a, T b) { return _mm512_sub_ps(a, b); }
  static T mul(T a, T b) { return _mm512_mul_ps(a, b); }
  static T fma(T a, T b, T c) { return _mm512_fmadd_ps(a, b, c); }    // a * b + c
  static T fnma(T a, T b, T c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a * b
  static __mmask16 mask(long n) { return static_cast<__mmask16>((1u << n) - 1); }
};

}  // namespace
