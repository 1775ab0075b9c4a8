#pragma once
#include <cmath>

#include "kernels/layer_norm/layer_norm.h"

namespace lgms::kernels {

template <class T>
struct LayerNormStatistics {
  LayerNormStatistics(const T* x, int64_t c, double eps) {
    T sum = 0, squares = 0;
    for (int64_t i = 0; i < c; ++i) sum += x[i];
    mean = sum / static_cast<T>(c);
    for (int64_t i = 0; i < c; ++i) squares += (x[i] - mean) * (x[i] - mean);
    rstd = 1 / std::sqrt(squares / static_cast<T>(c) + static_cast<T>(eps));
  }
  T mean, rstd;
};

template <class T>
void layer_norm_forward_reference(const LayerNormDims& d, const T* x, const T* gamma, const T* beta, T* y) {
  for (int64_t r = 0; r < d.rows; ++r, x += d.ldx, y += d.ldy) {
    const LayerNormStatistics<T> s(x, d.c, d.eps);
    for (int64_t c = 0; c < d.c; ++c) y[c] = (x[c] - s.mean) * s.rstd * gamma[c] + beta[c];
  }
}

template <class T>
void layer_norm_backward_reference(const LayerNormDims& d, const T* x, const T* gamma, const T* dy, T* dx, T* dgamma,
                                   T* dbeta) {
  for (int64_t r = 0; r < d.rows; ++r, x += d.ldx, dy += d.lddy) {
    const LayerNormStatistics<T> s(x, d.c, d.eps);
    T g_sum = 0, g_xhat_sum = 0;
    for (int64_t c = 0; c < d.c; ++c) {
      const T xhat = (x[c] - s.mean) * s.rstd;
      g_sum += dy[c] * gamma[c];
      g_xhat_sum += dy[c] * gamma[c] * xhat;
      if (dgamma) {
        dgamma[c] += dy[c] * xhat;
        dbeta[c] += dy[c];
      }
    }
    if (!dx) continue;
    const T g_mean = g_sum / static_cast<T>(d.c), g_xhat_mean = g_xhat_sum / static_cast<T>(d.c);
    for (int64_t c = 0; c < d.c; ++c)
      dx[c] = s.rstd * (dy[c] * gamma[c] - g_mean - (x[c] - s.mean) * s.rstd * g_xhat_mean);
    dx += d.ldy;
  }
}

}  // namespace lgms::kernels
