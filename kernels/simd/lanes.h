#pragma once
// What loops over the Vec of the file that includes this share.
#include <type_traits>

#include "kernels/simd/inline.h"

namespace {

// The one for a vector of as many lanes.
template <class Sixteen, class Eight, class Four>
using ByLanes = std::conditional_t<Vec::lanes == 16, Sixteen, std::conditional_t<Vec::lanes == 8, Eight, Four>>;

// How a step of a loop over c numbers reads and writes its lanes: all of them, or the last few.
struct All {
  static LGMS_INLINE Vec::T load(const float* p) { return Vec::load(p); }
  static LGMS_INLINE void store(float* p, Vec::T v) { Vec::store(p, v); }
  static LGMS_INLINE Vec::T keep(Vec::T v) { return v; }
  static LGMS_INLINE Vec::T keep(Vec::T v, Vec::T) { return v; }  // the second in the lanes that are not kept
  static constexpr long n = Vec::lanes;
};
struct First {
  LGMS_INLINE Vec::T load(const float* p) const { return Vec::load(p, n); }
  LGMS_INLINE void store(float* p, Vec::T v) const { Vec::store(p, v, n); }
  LGMS_INLINE Vec::T keep(Vec::T v) const { return Vec::keep(Vec::first(n), v); }
  LGMS_INLINE Vec::T keep(Vec::T v, Vec::T others) const { return Vec::select(Vec::first(n), v, others); }
  long n;
};

// step(first number, how) for every vector of c numbers.
template <class Step>
LGMS_INLINE void over_lanes(long c, const Step& step) {
  long i = 0;
  for (; i + Vec::lanes <= c; i += Vec::lanes) step(i, All{});
  if (i < c) step(i, First{c - i});
}

}  // namespace
