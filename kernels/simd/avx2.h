#pragma once
// 8 floats by AVX2 and FMA. Portable<8> gives the same bits. What the functions do: generic.h.
#include <immintrin.h>

#include <cstdint>

#include "kernels/simd/inline.h"

#define LGMS_ROW(name) name##_avx2

namespace {

struct Vec {
  using T = __m256;
  using Mask = __m256i;   // lanes of all ones or all zeros
  using Bytes = __m256i;  // widened to lanes
  static constexpr int lanes = 8;
  static constexpr bool fused = true;

  static Mask first(long n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static T zero() { return _mm256_setzero_ps(); }
  static T set1(float v) { return _mm256_set1_ps(v); }
  static T load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, T v) { _mm256_storeu_ps(p, v); }
  static T load(const float* p, long n) { return _mm256_maskload_ps(p, first(n)); }
  static void store(float* p, T v, long n) { _mm256_maskstore_ps(p, first(n), v); }
  static T gather(const float* p, long stride, long n) {
    const __m256i at =
        _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(static_cast<int>(stride)));
    return _mm256_mask_i32gather_ps(zero(), p, at, _mm256_castsi256_ps(first(n)), 4);
  }

  static T add(T a, T b) { return _mm256_add_ps(a, b); }
  static T sub(T a, T b) { return _mm256_sub_ps(a, b); }
  static T mul(T a, T b) { return _mm256_mul_ps(a, b); }
  static T div(T a, T b) { return _mm256_div_ps(a, b); }
  static T sqrt(T a) { return _mm256_sqrt_ps(a); }
  static T fma(T a, T b, T c) { return _mm256_fmadd_ps(a, b, c); }
  static T fms(T a, T b, T c) { return _mm256_fmsub_ps(a, b, c); }
  static T fnma(T a, T b, T c) { return _mm256_fnmadd_ps(a, b, c); }
  static T max(T a, T b) { return _mm256_max_ps(a, b); }
  static T min(T a, T b) { return _mm256_min_ps(a, b); }
  static T abs(T a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.f), a); }
  static float sum(T a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }
  static float largest(T a) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
  }
  static float inverse_root(float a) { return _mm_cvtss_f32(_mm_div_ss(_mm_set_ss(1.f), _mm_sqrt_ss(_mm_set_ss(a)))); }

  static Mask greater(T a, T b) { return _mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_GT_OQ)); }
  static Mask is_nan(T a) { return _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q)); }
  static Mask either(Mask a, Mask b) { return _mm256_or_si256(a, b); }
  static bool any(Mask m) { return _mm256_movemask_ps(_mm256_castsi256_ps(m)) != 0; }
  static T keep(Mask m, T a) { return _mm256_and_ps(a, _mm256_castsi256_ps(m)); }
  static T select(Mask m, T a, T b) { return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(m)); }

  static T exponent(T a) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a), 23)); }
  static T floor(T a) { return _mm256_floor_ps(a); }

  static Bytes bytes(int v) { return _mm256_set1_epi32(v); }
  static Bytes load(const uint8_t* p, long n) {
    __m128i v = _mm_setzero_si128();
    __builtin_memcpy(&v, p, static_cast<size_t>(n));
    return _mm256_cvtepu8_epi32(v);
  }
  static void store(uint8_t* p, Bytes v, long n) {
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    const __m128i all = _mm_packus_epi16(words, words);
    __builtin_memcpy(p, &all, static_cast<size_t>(n));
  }
  static Bytes select(Mask m, Bytes a, Bytes b) {
    return _mm256_castps_si256(select(m, _mm256_castsi256_ps(a), _mm256_castsi256_ps(b)));
  }
  static Mask equal(Bytes a, Bytes b) { return _mm256_cmpeq_epi32(a, b); }

  // Vector i takes pixels i and i + 4: the load inserts the lane (no shuffle), transposed they are in order.
  static void load_transposed(const float* p, long ld, T (&out)[4]) {
    LGMS_UNROLL
    for (int i = 0; i < 4; ++i, p += ld)
      out[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + 4 * ld), 1);
    transpose(out);
  }
  static void store_transposed(T (&in)[4], float* p, long ld) {
    transpose(in);
    LGMS_UNROLL
    for (int i = 0; i < 4; ++i, p += ld) {
      _mm_storeu_ps(p, _mm256_castps256_ps128(in[i]));
      _mm_storeu_ps(p + 4 * ld, _mm256_extractf128_ps(in[i], 1));
    }
  }
  // 4x4 transposes inside the 128-bit lanes.
  static void transpose(T (&a)[4]) {
    const __m256d t0 = _mm256_castps_pd(_mm256_unpacklo_ps(a[0], a[1])),
                  t1 = _mm256_castps_pd(_mm256_unpacklo_ps(a[2], a[3]));
    const __m256d t2 = _mm256_castps_pd(_mm256_unpackhi_ps(a[0], a[1])),
                  t3 = _mm256_castps_pd(_mm256_unpackhi_ps(a[2], a[3]));
    a[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(t0, t1));
    a[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(t0, t1));
    a[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(t2, t3));
    a[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(t2, t3));
  }
};

}  // namespace
