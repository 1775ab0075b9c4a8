#pragma once
#include "kernels/activation/reference.h"
#include "kernels/depthwise/depthwise.h"

namespace lgms::kernels {

// visit(tap, pixel) for every tap of the window around (z, y, x) of image n that lies inside of it.
template <class Visit>
void depthwise_window(const DepthwiseDims& d, int64_t n, int64_t z, int64_t y, int64_t x, const Visit& visit) {
  for (int64_t a = 0; a < d.kd; ++a)
    for (int64_t b = 0; b < d.kh; ++b)
      for (int64_t e = 0; e < d.kw; ++e) {
        const int64_t zi = z + a - d.kd / 2, yi = y + b - d.kh / 2, xi = x + e - d.kw / 2;
        if (zi >= 0 && zi < d.d && yi >= 0 && yi < d.h && xi >= 0 && xi < d.w)
          visit((a * d.kh + b) * d.kw + e, ((n * d.d + zi) * d.h + yi) * d.w + xi);
      }
}

template <class T>
void depthwise_forward_reference(const DepthwiseDims& d, int64_t first, int64_t last, const T* x, const T* weight,
                                 const Epilogue<Strided<T>>& epilogue, T* y) {
  for (int64_t p = first * d.w; p < last * d.w; ++p) {
    T* yp = y + p * d.ldy;
    for (int64_t c = 0; c < d.c; ++c) yp[c] = epilogue.bias.data ? epilogue.bias.data[c] : T{0};
    depthwise_window(d, p / (d.w * d.h * d.d), p / (d.w * d.h) % d.d, p / d.w % d.h, p % d.w,
                     [&](int64_t tap, int64_t at) {
                       for (int64_t c = 0; c < d.c; ++c) yp[c] += weight[tap * d.c + c] * x[at * d.ldx + c];
                     });
    finish(epilogue, d.c, p, yp);
  }
}

template <class T>
void depthwise_weight_gradient_reference(const DepthwiseDims& d, int64_t first, int64_t last, const T* x, const T* dy,
                                         T* partial) {
  T* dbias = partial + d.kd * d.kh * d.kw * d.c;
  std::fill(partial, dbias + d.c, T{0});
  for (int64_t p = first * d.w; p < last * d.w; ++p) {
    const T* dyp = dy + p * d.ldy;
    depthwise_window(d, p / (d.w * d.h * d.d), p / (d.w * d.h) % d.d, p / d.w % d.h, p % d.w,
                     [&](int64_t tap, int64_t at) {
                       for (int64_t c = 0; c < d.c; ++c) partial[tap * d.c + c] += dyp[c] * x[at * d.ldx + c];
                     });
    for (int64_t c = 0; c < d.c; ++c) dbias[c] += dyp[c];
  }
}

}  // namespace lgms::kernels
