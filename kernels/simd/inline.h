#pragma once
// For code that must end up inside its caller, for functions that take in all that they call, and for loops of a
// constant length whose arrays are to be registers. Whoever wants none of it, as it takes the compiler long, says so
// before (tests/support/twin.h).
#ifndef LGMS_INLINE
#define LGMS_INLINE inline __attribute__((always_inline))
#define LGMS_FLATTEN __attribute__((flatten))
#define LGMS_UNROLL _Pragma("GCC unroll 40")
#endif
