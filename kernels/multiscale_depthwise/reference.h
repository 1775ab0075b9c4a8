#pragma once
#include "kernels/multiscale_depthwise/multiscale_depthwise.h"

namespace lgms::kernels {

// visit(quarter, channel of the unit, pixel) for every element of y that belongs to the unit, and for each of those
// visit_tap(quarter, channel, tap, pixel, pixel under the tap) for every tap inside the image.
template <class Visit, class VisitTap>
void multiscale_depthwise_visit(const MultiscaleDepthwiseDims& d, const MultiscaleDepthwiseUnit& u, const Visit& visit,
                                const VisitTap& visit_tap) {
  for (int64_t q = u.q0; q < u.q1; ++q)
    for (int64_t z = u.z0; z < u.z1; ++z)
      for (int64_t y = u.y0; y < u.y1; ++y)
        for (int64_t x = 0; x < d.w; ++x)
          for (int64_t c = 0; c < u.channels; ++c) {
            const int64_t k = 3 + 2 * q, kd = d.volume ? k : 1, pixel = ((u.n * d.d + z) * d.h + y) * d.w + x;
            visit(q, c, pixel);
            for (int64_t a = 0; a < kd; ++a)
              for (int64_t b = 0; b < k; ++b)
                for (int64_t e = 0; e < k; ++e) {
                  const int64_t zi = z + a - kd / 2, yi = y + b - k / 2, xi = x + e - k / 2;
                  if (zi >= 0 && zi < d.d && yi >= 0 && yi < d.h && xi >= 0 && xi < d.w)
                    visit_tap(q, c, (a * k + b) * k + e, pixel, ((u.n * d.d + zi) * d.h + yi) * d.w + xi);
                }
          }
}

template <class T>
void multiscale_depthwise_forward_reference(const MultiscaleDepthwiseDims& d, const MultiscaleDepthwiseUnit& u,
                                            const T* x, const MultiscaleDepthwiseParameters<const T>& w, T* y, T*) {
  const int64_t g = d.c / 4;
  multiscale_depthwise_visit(
      d, u,
      [&](int64_t q, int64_t c, int64_t at) {
        const int64_t channel = q * g + u.j + c;
        y[at * d.ldy + channel] = w.bias[q][c] + (d.residual ? x[at * d.ldx + channel] : T{0});
      },
      [&](int64_t q, int64_t c, int64_t tap, int64_t at, int64_t from) {
        const int64_t channel = q * g + u.j + c, k = 3 + 2 * q, taps = k * k * (d.volume ? k : 1);
        y[at * d.ldy + channel] += w.weight[q][c * taps + tap] * x[from * d.ldx + channel];
      });
}

template <class T>
void multiscale_depthwise_weight_gradient_reference(const MultiscaleDepthwiseDims& d, const MultiscaleDepthwiseUnit& u,
                                                    const T* x, const T* dy, const MultiscaleDepthwiseParameters<T>& dw,
                                                    T*) {
  const int64_t g = d.c / 4;
  multiscale_depthwise_visit(
      d, u, [&](int64_t q, int64_t c, int64_t at) { dw.bias[q][c] += dy[at * d.ldy + q * g + u.j + c]; },
      [&](int64_t q, int64_t c, int64_t tap, int64_t at, int64_t from) {
        const int64_t channel = q * g + u.j + c, k = 3 + 2 * q, taps = k * k * (d.volume ? k : 1);
        dw.weight[q][c * taps + tap] += dy[at * d.ldy + channel] * x[from * d.ldx + channel];
      });
}

}  // namespace lgms::kernels
