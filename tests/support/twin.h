#pragma once
// Before a *_loops.h: its rows over Portable<LGMS_LANES>, named <row>_twin4, _twin8, _twin16.
#define LGMS_INLINE inline
#define LGMS_FLATTEN
#define LGMS_UNROLL
#include "kernels/simd/portable.h"
#include "kernels/simd/portable_bf16.h"

#define LGMS_TWIN_NAME(name, lanes) name##_twin##lanes
#define LGMS_TWIN(name, lanes) LGMS_TWIN_NAME(name, lanes)
#define LGMS_ROW(name) LGMS_TWIN(name, LGMS_LANES)

namespace {

using Vec = Portable<LGMS_LANES>;
#if LGMS_LANES == 16
using Bf16Pairs = PortablePairs;
using Bf16Tiles = PortableTiles;
#endif

}  // namespace
