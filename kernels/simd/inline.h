#pragma once
// For code that must end up inside its caller, and for loops of a constant length whose arrays are to be registers.
#define LGMS_INLINE inline __attribute__((always_inline))
#define LGMS_UNROLL _Pragma("GCC unroll 40")
