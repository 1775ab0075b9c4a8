#pragma once
#include <algorithm>

#include "kernels/upsample/upsample.h"

namespace lgms::kernels {

// y[o] = 3/4 x[near] + 1/4 x[far] along an axis of n; scale 1 leaves the axis alone.
struct UpsampleTap {
  UpsampleTap(int64_t o, int64_t n, int64_t scale)
      : at{o / scale, scale == 1 ? o : std::clamp<int64_t>(o / 2 + (o % 2 ? 1 : -1), 0, n - 1)},
        weight{scale == 1 ? 1. : 0.75, scale == 1 ? 0. : 0.25} {}
  int64_t at[2];
  double weight[2];
};

template <class T>
void upsample_forward_reference(const UpsampleDims& d, int64_t first, int64_t last, const T* x, T* y, T*) {
  for (int64_t unit = first; unit < last; ++unit) {
    const int64_t oh = unit % (2 * d.h), od = unit / (2 * d.h) % (d.d * d.scale_d),
                  n = unit / (2 * d.h * d.d * d.scale_d);
    const UpsampleTap td(od, d.d, d.scale_d), th(oh, d.h, 2);
    for (int64_t ow = 0; ow < 2 * d.w; ++ow) {
      const UpsampleTap tw(ow, d.w, 2);
      for (int64_t c = 0; c < d.c; ++c) {
        T sum = 0;
        for (int i = 0; i < 2; ++i)
          for (int j = 0; j < 2; ++j)
            for (int k = 0; k < 2; ++k)
              sum += static_cast<T>(td.weight[i] * th.weight[j] * tw.weight[k]) *
                     x[(((n * d.d + td.at[i]) * d.h + th.at[j]) * d.w + tw.at[k]) * d.ldx + c];
        y[(unit * 2 * d.w + ow) * d.ldy + c] = sum;
      }
    }
  }
}

// The transpose: dx[i] = sum of weight[k] * dy[at[k]].
struct UpsampleTransposedTap {
  UpsampleTransposedTap(int64_t i, int64_t n, int64_t scale) : count(scale == 1 ? 1 : 4) {
    for (int k = 0; k < count; ++k) {
      at[k] = scale == 1 ? i : std::clamp<int64_t>(2 * i - 1 + k, 0, 2 * n - 1);
      weight[k] = scale == 1 ? 1 : k == 0 || k == 3 ? 0.25 : 0.75;
    }
  }
  int count;
  int64_t at[4];
  double weight[4];
};

template <class T>
void upsample_backward_reference(const UpsampleDims& d, int64_t first, int64_t last, const T* dy, T* dx, T*) {
  for (int64_t unit = first; unit < last; ++unit) {
    const int64_t h = unit % d.h, depth = unit / d.h % d.d, n = unit / (d.h * d.d);
    const UpsampleTransposedTap td(depth, d.d, d.scale_d), th(h, d.h, 2);
    for (int64_t w = 0; w < d.w; ++w) {
      const UpsampleTransposedTap tw(w, d.w, 2);
      for (int64_t c = 0; c < d.c; ++c) {
        T sum = 0;
        for (int i = 0; i < td.count; ++i)
          for (int j = 0; j < th.count; ++j)
            for (int k = 0; k < tw.count; ++k)
              sum += static_cast<T>(td.weight[i] * th.weight[j] * tw.weight[k]) *
                     dy[(((n * d.d * d.scale_d + td.at[i]) * 2 * d.h + th.at[j]) * 2 * d.w + tw.at[k]) * d.ldy + c];
        dx[(unit * d.w + w) * d.ldx + c] = sum;
      }
    }
  }
}

}  // namespace lgms::kernels
