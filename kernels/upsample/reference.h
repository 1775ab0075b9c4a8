#pragma once
#include <algorithm>

#include "kernels/upsample/line.h"

namespace lgms::kernels {

// t[j] of channel c, j clamped to [0, count)
template <class T>
T upsample_blend(const UpsampleLine& l, const T* from, int64_t ld, int64_t j, int64_t count, int64_t c) {
  T sum = 0;
  for (int64_t k = 0; k < l.taps; ++k)
    sum += static_cast<T>(l.weight[k]) * from[l.offset[k] + std::clamp<int64_t>(j, 0, count - 1) * ld + c];
  return sum;
}

template <class T>
void upsample_forward_reference(const UpsampleLine& l, const T* x, T* y) {
  const T near = static_cast<T>(0.75), far = static_cast<T>(0.25);
  for (int64_t j = 0; j < l.w; ++j, y += 2 * l.ldy)
    for (int64_t c = 0; c < l.c; ++c) {
      const auto t = [&](int64_t at) { return upsample_blend(l, x, l.ldx, at, l.w, c); };
      y[c] = near * t(j) + far * t(j - 1);
      y[l.ldy + c] = near * t(j) + far * t(j + 1);
    }
}

template <class T>
void upsample_backward_reference(const UpsampleLine& l, const T* dy, T* dx) {
  const T near = static_cast<T>(0.75), far = static_cast<T>(0.25);
  for (int64_t j = 0; j < l.w; ++j, dx += l.ldx)
    for (int64_t c = 0; c < l.c; ++c) {
      const auto t = [&](int64_t at) { return upsample_blend(l, dy, l.ldy, at, 2 * l.w, c); };
      dx[c] = near * (t(2 * j) + t(2 * j + 1)) + far * (t(2 * j - 1) + t(2 * j + 2));
    }
}

}  // namespace lgms::kernels
