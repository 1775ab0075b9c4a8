#pragma once
#include "kernels/multiscale_depthwise/multiscale_depthwise.h"

namespace lgms::kernels {

// visit(channel of the unit, pixel) for every element of y that belongs to the unit, and for each of those
// visit_tap(channel, tap, pixel, pixel under the tap) for every tap inside the image.
template <class Visit, class VisitTap>
void multiscale_depthwise_visit(const MultiscaleDepthwiseDims& d, const MultiscaleDepthwiseUnit& u, const Visit& visit,
                                const VisitTap& visit_tap) {
  const int64_t k = u.k, kd = d.volume ? k : 1;
  for (int64_t z = u.z0; z < u.z1; ++z)
    for (int64_t y = u.y0; y < u.y1; ++y)
      for (int64_t x = 0; x < d.w; ++x)
        for (int64_t c = 0; c < u.channels; ++c) {
          const int64_t pixel = ((u.n * d.d + z) * d.h + y) * d.w + x;
          visit(c, pixel);
          for (int64_t a = 0; a < kd; ++a)
            for (int64_t b = 0; b < k; ++b)
              for (int64_t e = 0; e < k; ++e) {
                const int64_t zi = z + a - kd / 2, yi = y + b - k / 2, xi = x + e - k / 2;
                if (zi >= 0 && zi < d.d && yi >= 0 && yi < d.h && xi >= 0 && xi < d.w)
                  visit_tap(c, (a * k + b) * k + e, pixel, ((u.n * d.d + zi) * d.h + yi) * d.w + xi);
              }
        }
}

template <class T>
void multiscale_depthwise_forward_reference(const MultiscaleDepthwiseDims& d, const MultiscaleDepthwiseUnit& u,
                                            const T* x, const T* weight, const T* bias, T* y, T*) {
  const int64_t taps = u.k * u.k * (d.volume ? u.k : 1);
  multiscale_depthwise_visit(
      d, u,
      [&](int64_t c, int64_t at) {
        y[at * d.ldy + u.c0 + c] = (bias ? bias[c] : T{0}) + (d.residual ? x[at * d.ldx + u.c0 + c] : T{0});
      },
      [&](int64_t c, int64_t tap, int64_t at, int64_t from) {
        y[at * d.ldy + u.c0 + c] += weight[c * taps + tap] * x[from * d.ldx + u.c0 + c];
      });
}

template <class T>
void multiscale_depthwise_weight_gradient_reference(const MultiscaleDepthwiseDims& d, const MultiscaleDepthwiseUnit& u,
                                                    const T* x, const T* dy, T* dweight, T* dbias, T*) {
  const int64_t taps = u.k * u.k * (d.volume ? u.k : 1);
  multiscale_depthwise_visit(
      d, u, [&](int64_t c, int64_t at) { dbias[c] += dy[at * d.ldy + u.c0 + c]; },
      [&](int64_t c, int64_t tap, int64_t at, int64_t from) {
        dweight[c * taps + tap] += dy[at * d.ldy + u.c0 + c] * x[from * d.ldx + u.c0 + c];
      });
}

}  // namespace lgms::kernels
