#pragma once
// 16 floats by AVX-512. Portable<16> gives the same bits. What the functions do: generic.h.
#include <immintrin.h>

#include <cstdint>

#include "kernels/simd/inline.h"

#define LGMS_ROW(name) name##_avx512

namespace {

struct Vec {
  using T = __m512;
  using Mask = __mmask16;
  using Bytes = __m128i;
  static constexpr int lanes = 16;
  static constexpr bool fused = true;

  static Mask first(long n) { return static_cast<Mask>((1u << n) - 1); }
  static T zero() { return _mm512_setzero_ps(); }
  static T set1(float v) { return _mm512_set1_ps(v); }
  static T load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, T v) { _mm512_storeu_ps(p, v); }
  static T load(const float* p, long n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static void store(float* p, T v, long n) { _mm512_mask_storeu_ps(p, first(n), v); }
  static T gather(const float* p, long stride, long n) {
    const __m512i at = _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                                          _mm512_set1_epi32(static_cast<int>(stride)));
    return _mm512_mask_i32gather_ps(zero(), first(n), at, p, 4);
  }

  static T add(T a, T b) { return _mm512_add_ps(a, b); }
  static T sub(T a, T b) { return _mm512_sub_ps(a, b); }
  static T mul(T a, T b) { return _mm512_mul_ps(a, b); }
  // As fast as 14 bits and a Newton step: the divider works beside the multipliers.
  static T div(T a, T b) { return _mm512_div_ps(a, b); }
  static T sqrt(T a) { return _mm512_sqrt_ps(a); }
  static T fma(T a, T b, T c) { return _mm512_fmadd_ps(a, b, c); }
  static T fms(T a, T b, T c) { return _mm512_fmsub_ps(a, b, c); }
  static T fnma(T a, T b, T c) { return _mm512_fnmadd_ps(a, b, c); }
  // (A full mask: the plain forms make GCC 12 warn of its own header.)
  static T max(T a, T b) { return _mm512_maskz_max_ps(0xffff, a, b); }
  static T min(T a, T b) { return _mm512_maskz_min_ps(0xffff, a, b); }
  static T abs(T a) { return _mm512_abs_ps(a); }
  static float sum(T a) { return _mm512_reduce_add_ps(a); }
  static float largest(T a) { return _mm512_reduce_max_ps(a); }
  static float inverse_root(float a) { return _mm_cvtss_f32(_mm_div_ss(_mm_set_ss(1.f), _mm_sqrt_ss(_mm_set_ss(a)))); }

  static Mask greater(T a, T b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
  static Mask is_nan(T a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
  static Mask either(Mask a, Mask b) { return a | b; }
  static bool any(Mask m) { return m != 0; }
  static T keep(Mask m, T a) { return _mm512_maskz_mov_ps(m, a); }
  static T select(Mask m, T a, T b) { return _mm512_mask_blend_ps(m, b, a); }

  static T exponent(T a) { return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xffff, _mm512_castps_si512(a), 23)); }
  static T fraction(T a) { return _mm512_reduce_ps(a, 0x09); }
  static T scale(T a, T b) { return _mm512_scalef_ps(a, b); }
  static T lookup(const float (&table)[32], T at) {
    return _mm512_permutex2var_ps(_mm512_load_ps(table), _mm512_castps_si512(at), _mm512_load_ps(table + 16));
  }

  static Bytes bytes(int v) { return _mm_set1_epi8(static_cast<char>(v)); }
  static Bytes load(const uint8_t* p, long n) { return _mm_maskz_loadu_epi8(first(n), p); }
  static void store(uint8_t* p, Bytes v, long n) { _mm_mask_storeu_epi8(p, first(n), v); }
  static Bytes select(Mask m, Bytes a, Bytes b) { return _mm_mask_mov_epi8(b, m, a); }
  static Mask equal(Bytes a, Bytes b) { return _mm_cmpeq_epi8_mask(a, b); }

  // Vector i takes pixels i, i + 4, i + 8, i + 12: loads insert lanes (no shuffles), transposed they are in order.
  static void load_transposed(const float* p, long ld, T (&out)[4]) {
    LGMS_UNROLL
    for (int i = 0; i < 4; ++i, p += ld) {
      T a = _mm512_castps128_ps512(_mm_loadu_ps(p));
      a = _mm512_insertf32x4(a, _mm_loadu_ps(p + 4 * ld), 1);
      a = _mm512_insertf32x4(a, _mm_loadu_ps(p + 8 * ld), 2);
      out[i] = _mm512_insertf32x4(a, _mm_loadu_ps(p + 12 * ld), 3);
    }
    transpose(out);
  }
  static void store_transposed(T (&in)[4], float* p, long ld) {
    transpose(in);
    LGMS_UNROLL
    for (int i = 0; i < 4; ++i, p += ld) {
      _mm_storeu_ps(p, _mm512_castps512_ps128(in[i]));
      _mm_storeu_ps(p + 4 * ld, _mm512_extractf32x4_ps(in[i], 1));
      _mm_storeu_ps(p + 8 * ld, _mm512_extractf32x4_ps(in[i], 2));
      _mm_storeu_ps(p + 12 * ld, _mm512_extractf32x4_ps(in[i], 3));
    }
  }
  // 4x4 transposes inside the 128-bit lanes.
  static void transpose(T (&a)[4]) {
    const __m512d t0 = _mm512_castps_pd(_mm512_unpacklo_ps(a[0], a[1])),
                  t1 = _mm512_castps_pd(_mm512_unpacklo_ps(a[2], a[3]));
    const __m512d t2 = _mm512_castps_pd(_mm512_unpackhi_ps(a[0], a[1])),
                  t3 = _mm512_castps_pd(_mm512_unpackhi_ps(a[2], a[3]));
    a[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(t0, t1));
    a[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(t0, t1));
    a[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(t2, t3));
    a[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(t2, t3));
  }
};

}  // namespace
