#pragma once
#include "kernels/max_pool/line.h"

namespace lgms::kernels {

template <class T>
void max_pool_forward_reference(const MaxPoolLine& l, const T* x, T* y, uint8_t* index) {
  for (int64_t o = 0; o < l.outputs; ++o, x += 2 * l.ldx, y += l.ldy)
    for (int64_t c = 0; c < l.c; ++c) {
      T best = x[c];
      uint8_t winner = 0;
      for (int64_t tap = 1; tap < l.taps; ++tap) {
        const T value = x[l.offset[tap] + c];
        if (value > best || value != value) {
          best = value;
          winner = static_cast<uint8_t>(tap);
        }
      }
      y[c] = best;
      if (index) index[o * l.c + c] = winner;
    }
}

template <class T>
void max_pool_backward_reference(const MaxPoolLine& l, const T* dy, const uint8_t* index, T* dx) {
  for (int64_t o = 0; o < l.outputs; ++o, dx += 2 * l.ldx, dy += l.ldy)
    for (int64_t tap = 0; tap < l.taps; ++tap)
      for (int64_t c = 0; c < l.c; ++c) dx[l.offset[tap] + c] = index[o * l.c + c] == tap ? dy[c] : T{0};
}

}  // namespace lgms::kernels
