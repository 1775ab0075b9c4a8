#pragma once
#include "kernels/max_pool/max_pool.h"

namespace lgms::kernels {

template <class T>
void max_pool_forward_reference(const MaxPoolDims& d, int64_t first, int64_t last, const T* x, T* y, uint8_t* index) {
  for (int64_t unit = first; unit < last; ++unit)
    for (int64_t ow = 0; ow < d.w / 2; ++ow)
      for (int64_t c = 0; c < d.c; ++c) {
        const int64_t out = unit * (d.w / 2) + ow;
        T best = x[d.pixel(unit, ow, 0) * d.ldx + c];
        uint8_t winner = 0;
        for (int64_t tap = 1; tap < 4 * d.window_d; ++tap) {
          const T value = x[d.pixel(unit, ow, tap) * d.ldx + c];
          if (value > best || value != value) {
            best = value;
            winner = static_cast<uint8_t>(tap);
          }
        }
        y[out * d.ldy + c] = best;
        if (index) index[out * d.c + c] = winner;
      }
}

template <class T>
void max_pool_backward_reference(const MaxPoolDims& d, int64_t first, int64_t last, const T* dy, const uint8_t* index,
                                 T* dx) {
  for (int64_t unit = first; unit < last; ++unit)
    for (int64_t ow = 0; ow < d.w / 2; ++ow)
      for (int64_t tap = 0; tap < 4 * d.window_d; ++tap)
        for (int64_t c = 0; c < d.c; ++c) {
          const int64_t out = unit * (d.w / 2) + ow;
          dx[d.pixel(unit, ow, tap) * d.ldx + c] = index[out * d.c + c] == tap ? dy[out * d.ldy + c] : T{0};
        }
}

}  // namespace lgms::kernels
