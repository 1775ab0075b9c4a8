#pragma once
// What the activations need of 4 floats beyond arithmetic.
#include "kernels/convolution/vector_generic.h"

namespace {

typedef int Bits __attribute__((vector_size(16)));
inline Vec::T select(Bits mask, Vec::T a, Vec::T b) { return (Vec::T)((mask & (Bits)a) | (~mask & (Bits)b)); }

// The second where one is NaN.
inline Vec::T max(Vec::T a, Vec::T b) { return select(a > b, a, b); }
inline Vec::T min(Vec::T a, Vec::T b) { return select(a < b, a, b); }
inline Vec::T abs(Vec::T a) { return (Vec::T)((Bits)a & 0x7fffffff); }
// x > 0 ? a : b
inline Vec::T where_positive(Vec::T x, Vec::T a, Vec::T b) { return select(x > 0, a, b); }
inline Vec::T divide(Vec::T a, Vec::T b) { return a / b; }
// The float whose exponent field is in the low bits of a.
inline Vec::T exponent(Vec::T a) { return (Vec::T)((Bits)a << 23); }

// n ln 2 + w for a whole number n below 256: in two steps, of which the first is exact (Cody & Waite).
inline Vec::T plus_ln2(Vec::T n, Vec::T w) { return (n * 0.693145752f + w) + n * 1.4286068e-6f; }

}  // namespace

#include "kernels/activation/gelu.h"
