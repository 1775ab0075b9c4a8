#pragma once
// 4 floats of any processor, by the compiler's vector extension (SSE2, NEON, or plain code), with no fused operations.
// This header says what the functions of every Vec do. It is in an anonymous namespace, as is everything over it: the
// linker must not put code of one instruction set in another's place. LGMS_ROW(name) is the name of a row of this one.
#include <cstdint>

#include "kernels/simd/inline.h"

#define LGMS_ROW(name) name##_generic

namespace {

struct Vec {
  typedef float T __attribute__((vector_size(16)));
  typedef float Unaligned __attribute__((vector_size(16), aligned(4), may_alias));  // of `using` clang loses aligned
  typedef int32_t Bits __attribute__((vector_size(16)));
  using Mask = Bits;
  using Bytes = Bits;  // numbers below 256
  static constexpr int lanes = 4;
  static constexpr bool fused = false;  // whether fma, fms and fnma round once

  static T zero() { return T{0, 0, 0, 0}; }
  static T set1(float v) { return T{v, v, v, v}; }
  static T load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
  static void store(float* p, T v) { *reinterpret_cast<Unaligned*>(p) = v; }
  // The first n lanes of memory, n <= lanes; a load leaves the others 0.
  static T load(const float* p, long n) {
    return T{n > 0 ? p[0] : 0, n > 1 ? p[1] : 0, n > 2 ? p[2] : 0, n > 3 ? p[3] : 0};
  }
  static void store(float* p, T v, long n) {
    LGMS_UNROLL  // numbered lanes stay in registers
        for (long l = 0; l < lanes; ++l) if (l < n) p[l] = v[l];
  }

  static T add(T a, T b) { return a + b; }
  static T sub(T a, T b) { return a - b; }
  static T mul(T a, T b) { return a * b; }
  static T div(T a, T b) { return a / b; }
  static T sqrt(T a) {
    return T{__builtin_sqrtf(a[0]), __builtin_sqrtf(a[1]), __builtin_sqrtf(a[2]), __builtin_sqrtf(a[3])};
  }
  static T fma(T a, T b, T c) { return a * b + c; }
  static T fms(T a, T b, T c) { return a * b - c; }
  static T fnma(T a, T b, T c) { return c - a * b; }
  // The second where one is NaN.
  static T max(T a, T b) { return select(a > b, a, b); }
  static T min(T a, T b) { return select(a < b, a, b); }
  static T abs(T a) { return (T)((Bits)a & 0x7fffffff); }
  // Of all lanes, added by halves.
  static float sum(T a) { return (a[0] + a[2]) + (a[1] + a[3]); }
  // Of numbers, the largest lane.
  static float largest(T a) {
    const float low = a[0] > a[2] ? a[0] : a[2], high = a[1] > a[3] ? a[1] : a[3];
    return low > high ? low : high;
  }
  static float inverse_root(float a) { return 1.f / __builtin_sqrtf(a); }

  // The first n lanes.
  static Mask first(long n) {
    const auto count = static_cast<int32_t>(n);
    return Bits{0, 1, 2, 3} < Bits{count, count, count, count};
  }
  static Mask greater(T a, T b) { return a > b; }
  static Mask is_nan(T a) { return a != a; }
  static Mask either(Mask a, Mask b) { return a | b; }
  static bool any(Mask m) { return (m[0] | m[1] | m[2] | m[3]) != 0; }
  // m ? a : 0
  static T keep(Mask m, T a) { return (T)(m & (Bits)a); }
  // m ? a : b
  static T select(Mask m, T a, T b) { return m ? a : b; }

  // The float whose exponent field is in the low bits of a.
  static T exponent(T a) { return (T)((Bits)a << 23); }

  // Bytes: n numbers below 256, as lanes compare them.
  static Bytes bytes(int v) { return Bytes{v, v, v, v}; }
  static Bytes load(const uint8_t* p, long n) {
    return Bytes{n > 0 ? p[0] : 0, n > 1 ? p[1] : 0, n > 2 ? p[2] : 0, n > 3 ? p[3] : 0};
  }
  static void store(uint8_t* p, Bytes v, long n) {
    LGMS_UNROLL
    for (long l = 0; l < lanes; ++l)
      if (l < n) p[l] = static_cast<uint8_t>(v[l]);
  }
  static Bytes select(Mask m, Bytes a, Bytes b) { return m ? a : b; }
  static Mask equal(Bytes a, Bytes b) { return a == b; }

  // out[i]: number i of each of `lanes` pixels, ld apart; four numbers of a pixel lie together. store_transposed puts
  // them back, and may change `in`.
  static void load_transposed(const float* p, long ld, T (&out)[4]) {
    for (int i = 0; i < 4; ++i) out[i] = T{p[i], p[ld + i], p[2 * ld + i], p[3 * ld + i]};
  }
  static void store_transposed(T (&in)[4], float* p, long ld) {
    for (int i = 0; i < 4; ++i, p += ld) store(p, T{in[0][i], in[1][i], in[2][i], in[3][i]});
  }
  // Where the processor has them, besides:
  //   gather(p, stride, n): p[0], p[stride], ..., n lanes, the others 0
  //   floor(a) (8 lanes); fraction(a), which is a - floor(a) rounded down, and scale(a, b), which is a * 2^floor(b) (16
  //   lanes) lookup(table, at): table[the low 5 bits of at] (16 lanes)
};

}  // namespace
