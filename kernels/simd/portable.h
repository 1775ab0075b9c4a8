#pragma once
// The twin of a Vec: as many lanes and the same rounding in plain arrays, so that any machine can run the algorithms of
// any instruction set. Portable<8> gives the bits of avx2.h, Portable<16> those of avx512.h, whose fused operations are
// fused here too (without an instruction for it that is a slow call); Portable<4> gives those of generic.h, unfused.
// tests/simd_twins_test.cpp compiles every *_loops.h over them. What the functions do: generic.h.
#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/simd/inline.h"

namespace {

template <int N>
struct Portable {
  template <class E>
  struct Lanes {
    E at[N];
  };
  using T = Lanes<float>;
  using Mask = Lanes<bool>;
  using Bytes = Lanes<uint8_t>;
  static constexpr int lanes = N;
  static constexpr bool fused = N > 4;

  // Lane l is f(l).
  template <class F>
  static auto each(const F& f) {
    Lanes<decltype(f(0))> v;
    for (int l = 0; l < N; ++l) v.at[l] = f(l);
    return v;
  }

  static T zero() { return set1(0); }
  static T set1(float v) {
    return each([&](int) { return v; });
  }
  static T load(const float* p) { return load(p, N); }
  static void store(float* p, T v) { store(p, v, N); }
  static T load(const float* p, long n) { return gather(p, 1, n); }
  static void store(float* p, T v, long n) {
    for (long l = 0; l < n; ++l) p[l] = v.at[l];
  }
  static T gather(const float* p, long stride, long n) {
    return each([&](int l) { return l < n ? p[l * stride] : 0.f; });
  }

  static T add(T a, T b) {
    return each([&](int l) { return a.at[l] + b.at[l]; });
  }
  static T sub(T a, T b) {
    return each([&](int l) { return a.at[l] - b.at[l]; });
  }
  static T mul(T a, T b) {
    return each([&](int l) { return a.at[l] * b.at[l]; });
  }
  static T div(T a, T b) {
    return each([&](int l) { return a.at[l] / b.at[l]; });
  }
  static T sqrt(T a) {
    return each([&](int l) { return std::sqrt(a.at[l]); });
  }
  static T fma(T a, T b, T c) {
    return each([&](int l) { return fused ? std::fma(a.at[l], b.at[l], c.at[l]) : a.at[l] * b.at[l] + c.at[l]; });
  }
  static T fms(T a, T b, T c) {
    return each([&](int l) { return fused ? std::fma(a.at[l], b.at[l], -c.at[l]) : a.at[l] * b.at[l] - c.at[l]; });
  }
  static T fnma(T a, T b, T c) {
    return each([&](int l) { return fused ? std::fma(-a.at[l], b.at[l], c.at[l]) : c.at[l] - a.at[l] * b.at[l]; });
  }
  static T max(T a, T b) { return select(greater(a, b), a, b); }
  static T min(T a, T b) { return select(greater(b, a), a, b); }
  static T abs(T a) {
    return each([&](int l) { return std::fabs(a.at[l]); });
  }
  static float sum(T a) {
    for (int half = N / 2; half > 0; half /= 2)
      for (int l = 0; l < half; ++l) a.at[l] += a.at[l + half];
    return a.at[0];
  }
  static float largest(T a) {
    float most = a.at[0];
    for (const float v : a.at) most = v > most ? v : most;
    return most;
  }
  static float inverse_root(float a) { return 1.f / std::sqrt(a); }

  static Mask first(long n) {
    return each([&](int l) { return l < n; });
  }
  static Mask greater(T a, T b) {
    return each([&](int l) { return a.at[l] > b.at[l]; });
  }
  static Mask is_nan(T a) {
    return each([&](int l) { return a.at[l] != a.at[l]; });
  }
  static Mask either(Mask a, Mask b) {
    return each([&](int l) { return a.at[l] || b.at[l]; });
  }
  static bool any(Mask m) {
    bool some = false;
    for (int l = 0; l < N; ++l) some |= m.at[l];
    return some;
  }
  static T keep(Mask m, T a) { return select(m, a, zero()); }
  template <class E>
  static Lanes<E> select(Mask m, Lanes<E> a, Lanes<E> b) {
    return each([&](int l) { return m.at[l] ? a.at[l] : b.at[l]; });
  }

  static T exponent(T a) {
    return each([&](int l) { return std::bit_cast<float>(std::bit_cast<uint32_t>(a.at[l]) << 23); });
  }
  static T floor(T a) {
    return each([&](int l) { return std::floor(a.at[l]); });
  }
  static T fraction(T a) {  // a difference of 0 that is rounded down is -0
    return each([&](int l) {
      if (std::isinf(a.at[l])) return 0.f;
      const float n = std::floor(a.at[l]), f = a.at[l] - n, took = f - a.at[l];
      const float error = (a.at[l] - (f - took)) + (-n - took);  // exact
      return f == 0 ? -0.f : error < 0 ? std::nextafter(f, -1.f) : f;
    });
  }
  static T scale(T a, T b) {  // beyond +-1000 every a is infinite or 0
    return each([&](int l) {
      const float n = std::floor(b.at[l]);
      return n != n ? n : std::scalbn(a.at[l], n > 1000 ? 1000 : n < -1000 ? -1000 : static_cast<int>(n));
    });
  }
  static T lookup(const float (&table)[32], T at) {
    return each([&](int l) { return table[std::bit_cast<uint32_t>(at.at[l]) % 32]; });
  }

  static Bytes bytes(int v) {
    return each([&](int) { return static_cast<uint8_t>(v); });
  }
  static Bytes load(const uint8_t* p, long n) {
    return each([&](int l) { return l < n ? p[l] : uint8_t{0}; });
  }
  static void store(uint8_t* p, Bytes v, long n) {
    for (long l = 0; l < n; ++l) p[l] = v.at[l];
  }
  static Mask equal(Bytes a, Bytes b) {
    return each([&](int l) { return a.at[l] == b.at[l]; });
  }

  static void load_transposed(const float* p, long ld, T (&out)[4]) {
    for (int i = 0; i < 4; ++i) out[i] = gather(p + i, ld, N);
  }
  static void store_transposed(T (&in)[4], float* p, long ld) {
    for (int i = 0; i < 4; ++i)
      for (int l = 0; l < N; ++l) p[l * ld + i] = in[i].at[l];
  }
};

}  // namespace
