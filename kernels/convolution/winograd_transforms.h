#pragma once
// The matrices of Winograd's F(4, 3) over the Vec of the file that includes this. Of 6 inputs d and 3 weights g,
//   A^T [(G g) * (B^T d)]    is their correlation, 4 outputs, and
//   G^T [(A v) * (B^T d)]    that of d and the 4 outputs' gradients v: the 3 weights' gradients.
// A row of each for each of the points 0, +-a, +-b, infinity; for p = +-a or +-b, q the other one, n = 2 p^2 (p^2 -
// q^2):
//                B^T                                    G                A
//   0            a^2 b^2, 0, -a^2 - b^2, 0, 1, 0        1 / a^2 b^2, 0, 0    1, 0, 0, 0
//   p            0, -p q^2, -q^2, p, 1, 0               (1, p, p^2) / n      1, p, p^2, p^3
//   infinity     0, a^2 b^2, 0, -a^2 - b^2, 0, 1        0, 0, 1              0, 0, 0, 1
// a row of p and of -p from the same sums over even and odd columns. Two dimensions are one after the other.
// Source: Lavin & Gray 2016, arXiv:1509.09308; the points: Barabasz et al. 2020, arXiv:1803.10986 (half the error of 0,
// +-1, +-2).
#include "kernels/simd/inline.h"

namespace {

constexpr double kA = 0.625, kB = 1.5;  // their powers and products below are exact in float
constexpr double kA2 = kA * kA, kB2 = kB * kB, kNA = 2 * kA2 * (kA2 - kB2), kNB = 2 * kB2 * (kB2 - kA2);

LGMS_INLINE Vec::T constant(double v) { return Vec::set1(static_cast<float>(v)); }

// d := B^T d, 6 numbers that are `stride` apart.
LGMS_INLINE void times_bt(Vec::T* d, int stride) {
  const Vec::T d0 = d[0], d1 = d[stride], d2 = d[2 * stride], d3 = d[3 * stride], d4 = d[4 * stride],
               d5 = d[5 * stride];
  const Vec::T a = constant(kA), b = constant(kB), a2 = constant(kA2), b2 = constant(kB2);
  const Vec::T ab = constant(kA2 * kB2), s = constant(kA2 + kB2);
  const Vec::T even_a = Vec::fnma(b2, d2, d4), odd_a = Vec::fnma(b2, d1, d3);
  const Vec::T even_b = Vec::fnma(a2, d2, d4), odd_b = Vec::fnma(a2, d1, d3);
  d[0] = Vec::fma(ab, d0, Vec::fnma(s, d2, d4));
  d[stride] = Vec::fma(a, odd_a, even_a);
  d[2 * stride] = Vec::fnma(a, odd_a, even_a);
  d[3 * stride] = Vec::fma(b, odd_b, even_b);
  d[4 * stride] = Vec::fnma(b, odd_b, even_b);
  d[5 * stride] = Vec::fma(ab, d1, Vec::fnma(s, d3, d5));
}

// u = A v: the polynomial v at the points.
LGMS_INLINE void times_a(const Vec::T* v, Vec::T* u) {
  const Vec::T a = constant(kA), b = constant(kB), a2 = constant(kA2), b2 = constant(kB2);
  const Vec::T even_a = Vec::fma(a2, v[2], v[0]), odd_a = Vec::fma(a2, v[3], v[1]);
  const Vec::T even_b = Vec::fma(b2, v[2], v[0]), odd_b = Vec::fma(b2, v[3], v[1]);
  u[0] = v[0];
  u[1] = Vec::fma(a, odd_a, even_a);
  u[2] = Vec::fnma(a, odd_a, even_a);
  u[3] = Vec::fma(b, odd_b, even_b);
  u[4] = Vec::fnma(b, odd_b, even_b);
  u[5] = v[3];
}

// o = A^T m.
LGMS_INLINE void times_at(const Vec::T* m, Vec::T* o) {
  const Vec::T even_a = Vec::add(m[1], m[2]), odd_a = Vec::sub(m[1], m[2]);
  const Vec::T even_b = Vec::add(m[3], m[4]), odd_b = Vec::sub(m[3], m[4]);
  o[0] = Vec::add(m[0], Vec::add(even_a, even_b));
  o[1] = Vec::fma(constant(kB), odd_b, Vec::mul(constant(kA), odd_a));
  o[2] = Vec::fma(constant(kB2), even_b, Vec::mul(constant(kA2), even_a));
  o[3] = Vec::fma(constant(kB2 * kB), odd_b, Vec::fma(constant(kA2 * kA), odd_a, m[5]));
}

// u = G g.
LGMS_INLINE void times_g(const Vec::T* g, Vec::T* u) {
  const Vec::T even_a = Vec::fma(constant(kA2 / kNA), g[2], Vec::mul(constant(1 / kNA), g[0]));
  const Vec::T even_b = Vec::fma(constant(kB2 / kNB), g[2], Vec::mul(constant(1 / kNB), g[0]));
  const Vec::T odd_a = Vec::mul(constant(kA / kNA), g[1]), odd_b = Vec::mul(constant(kB / kNB), g[1]);
  u[0] = Vec::mul(constant(1 / (kA2 * kB2)), g[0]);
  u[1] = Vec::add(even_a, odd_a);
  u[2] = Vec::sub(even_a, odd_a);
  u[3] = Vec::add(even_b, odd_b);
  u[4] = Vec::sub(even_b, odd_b);
  u[5] = g[2];
}

// w = G^T m.
LGMS_INLINE void times_gt(const Vec::T* m, Vec::T* w) {
  const Vec::T even_a = Vec::add(m[1], m[2]), odd_a = Vec::sub(m[1], m[2]);
  const Vec::T even_b = Vec::add(m[3], m[4]), odd_b = Vec::sub(m[3], m[4]);
  w[0] = Vec::fma(constant(1 / kNA), even_a,
                  Vec::fma(constant(1 / kNB), even_b, Vec::mul(constant(1 / (kA2 * kB2)), m[0])));
  w[1] = Vec::fma(constant(kA / kNA), odd_a, Vec::mul(constant(kB / kNB), odd_b));
  w[2] = Vec::fma(constant(kA2 / kNA), even_a, Vec::fma(constant(kB2 / kNB), even_b, m[5]));
}

}  // namespace
