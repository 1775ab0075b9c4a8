#pragma once
// 4 floats of any processor, by the compiler's vector extension (SSE2, NEON, or plain code).
namespace {

struct Vec {
  typedef float T __attribute__((vector_size(16)));
  typedef float Unaligned __attribute__((vector_size(16), aligned(4), may_alias));
  static constexpr int lanes = 4;
  static T zero() { return T{0, 0, 0, 0}; }
  static T set1(float v) { return T{v, v, v, v}; }
  static T load(const float* p) { return *reinterpret_cast<const Unaligned*>(p); }
  static void store(float* p, T v) { *reinterpret_cast<Unaligned*>(p) = v; }
  // The first n lanes of memory, n <= lanes; a load leaves the others 0.
  static T load(const float* p, long n) {
    T v = zero();
    for (long l = 0; l < n; ++l) v[l] = p[l];
    return v;
  }
  static void store(float* p, T v, long n) {
    for (long l = 0; l < n; ++l) p[l] = v[l];
  }
  static T add(T a, T b) { return a + b; }
  static T sub(T a, T b) { return a - b; }
  static T mul(T a, T b) { return a * b; }
  static T fma(T a, T b, T c) { return a * b + c; }   // a * b + c
  static T fnma(T a, T b, T c) { return c - a * b; }  // c - a * b
};

}  // namespace
