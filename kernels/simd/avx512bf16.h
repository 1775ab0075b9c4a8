#pragma once
// bfloat16 beside the 16 floats of avx512.h: AVX512-BF16, and the tiles of AMX. What the functions do, with the same
// bits: portable_bf16.h.
#include <cstring>

#include "kernels/simd/avx512.h"

namespace {

using Bf16 = uint16_t;  // the upper half of a float

// Pairs of neighbours, times pairs: 16 sums of two products each.
struct Bf16Pairs {
  using T = __m512i;  // 16 pairs

  static void narrow(Bf16* to, Vec::T v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), (__m256i)_mm512_cvtneps_pbh(v));
  }
  static void narrow(Bf16* to, Vec::T v, long n) {
    _mm256_mask_storeu_epi16(to, Vec::first(n), (__m256i)_mm512_cvtneps_pbh(v));
  }
  static T load(const Bf16* p) { return _mm512_loadu_si512(p); }
  static T set1(const Bf16* pair) {
    int both;
    std::memcpy(&both, pair, sizeof both);
    return _mm512_set1_epi32(both);
  }
  static Vec::T dot(Vec::T sum, T a, T b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
};

// Eight tiles of 16 rows of 64 bytes, numbered at compile time. The registers are a thread's, between begin and end.
// Written in assembler, as GCC's intrinsics take numbers only where they are written out.
struct Bf16Tiles {
  static void begin() {
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    asm volatile("ldtilecfg %0" : : "m"(config));
  }
  static void end() { asm volatile("tilerelease"); }
  template <int tile>
  LGMS_INLINE static void load(const void* p, long row_bytes) {
    asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(row_bytes), "i"(tile) : "memory");
  }
  template <int tile>
  LGMS_INLINE static void store(void* p, long row_bytes) {
    asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(p), "r"(row_bytes), "i"(tile) : "memory");
  }
  template <int sum, int a, int b>
  LGMS_INLINE static void dot() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(a), "i"(b));
  }
};

}  // namespace
