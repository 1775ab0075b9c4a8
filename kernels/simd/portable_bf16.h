#pragma once
// The twins of avx512bf16.h in plain arrays: the same bits, on any machine. The instructions take denormal numbers for
// 0 and make none, whatever the floating-point mode.
// Source: Intel's Software Developer's Manual, VCVTNEPS2BF16, VDPBF16PS, TDPBF16PS.
#include <cstring>

#include "kernels/simd/portable.h"

namespace {

using Bf16 = uint16_t;

inline float flushed(float v) {
  return std::fabs(v) < 0x1p-126f ? std::copysign(0.f, v) : v;  // not of a nan
}
inline float flushed_fma(float a, float b, float c) { return flushed(std::fma(flushed(a), flushed(b), flushed(c))); }
inline float widened(Bf16 v) { return std::bit_cast<float>(static_cast<uint32_t>(v) << 16); }
// To nearest even; a nan stays one.
inline Bf16 narrowed(float v) {
  const auto bits = std::bit_cast<uint32_t>(flushed(v));
  if (v != v) return static_cast<Bf16>(bits >> 16 | 0x40);
  return static_cast<Bf16>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

struct PortablePairs {
  struct T {
    Bf16 at[32];
  };

  // The first n of 16.
  static void narrow(Bf16* to, Portable<16>::T v, long n = 16) {
    for (long l = 0; l < n; ++l) to[l] = narrowed(v.at[l]);
  }
  static T load(const Bf16* p) {
    T v;
    std::memcpy(v.at, p, sizeof v.at);
    return v;
  }
  // One pair 16 times.
  static T set1(const Bf16* pair) {
    T v;
    for (int l = 0; l < 32; ++l) v.at[l] = pair[l % 2];
    return v;
  }
  // Lane l is sum + a[2l + 1] b[2l + 1], rounded, + a[2l] b[2l], rounded.
  static Portable<16>::T dot(Portable<16>::T sum, T a, T b) {
    return Portable<16>::each([&](int l) {
      const float odd = flushed_fma(widened(a.at[2 * l + 1]), widened(b.at[2 * l + 1]), sum.at[l]);
      return flushed_fma(widened(a.at[2 * l]), widened(b.at[2 * l]), odd);
    });
  }
};

struct PortableTiles {
  static void begin() { std::memset(bytes(), 0, sizeof(Bytes)); }
  static void end() {}
  // 16 rows of 64 bytes, row_bytes apart.
  template <int tile>
  static void load(const void* p, long row_bytes) {
    for (long r = 0; r < 16; ++r) std::memcpy(bytes()[tile][r], static_cast<const char*>(p) + r * row_bytes, 64);
  }
  template <int tile>
  static void store(void* p, long row_bytes) {
    for (long r = 0; r < 16; ++r) std::memcpy(static_cast<char*>(p) + r * row_bytes, bytes()[tile][r], 64);
  }
  // sum[m][n] (floats) += the sum over even k of a[m][k] b[k/2][2n] + that over odd k of a[m][k] b[k/2][2n + 1].
  template <int sum, int a, int b>
  static void dot() {
    for (int m = 0; m < 16; ++m)
      for (int n = 0; n < 16; ++n) {
        float even = 0, odd = 0, before;
        for (int k = 0; k < 16; ++k) {
          even = flushed_fma(at(a, m, 2 * k), at(b, k, 2 * n), even);
          odd = flushed_fma(at(a, m, 2 * k + 1), at(b, k, 2 * n + 1), odd);
        }
        char* const into = bytes()[sum][m] + n * sizeof(float);
        std::memcpy(&before, into, sizeof before);
        const float after = flushed(flushed(before) + flushed(even + odd));
        std::memcpy(into, &after, sizeof after);
      }
  }

 private:
  using Bytes = char[8][16][64];
  static Bytes& bytes() {
    thread_local Bytes all;
    return all;
  }
  static float at(int tile, int row, int i) {
    Bf16 v;
    std::memcpy(&v, bytes()[tile][row] + i * sizeof v, sizeof v);
    return widened(v);
  }
};

}  // namespace
