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
inline Vec::T reciprocal(Vec::T a) { return 1 / a; }
// The float whose exponent field is in the low bits of a.
inline Vec::T exponent(Vec::T a) { return (Vec::T)((Bits)a << 23); }

}  // namespace
