#pragma once
// Both passes over the Vec of the file that includes this: vectors of channels, all of them at once, or the last few.
#include "kernels/layer_norm/rows.h"
#include "kernels/simd/lanes.h"

namespace {

using lgms::kernels::LayerNormDims;

struct Statistics {
  Vec::T mean, rstd;

  LGMS_INLINE Statistics(const float* x, int64_t c, float inverse, float eps) {
    Vec::T sum = Vec::zero(), squares = Vec::zero();
    over_lanes(c, [&](int64_t i, auto how) { sum = Vec::add(sum, how.load(x + i)); });
    mean = Vec::set1(Vec::sum(sum) * inverse);
    over_lanes(c, [&](int64_t i, auto how) {
      const Vec::T centred = how.keep(Vec::sub(how.load(x + i), mean));
      squares = Vec::fma(centred, centred, squares);
    });
    rstd = Vec::set1(Vec::inverse_root(Vec::sum(squares) * inverse + eps));
  }
  LGMS_INLINE Vec::T normalised(Vec::T x) const { return Vec::mul(Vec::sub(x, mean), rstd); }
};

void forward(const LayerNormDims& d, const float* x, const float* gamma, const float* beta, float* y) {
  const float inverse = 1.f / static_cast<float>(d.c), eps = static_cast<float>(d.eps);
  for (int64_t r = 0; r < d.rows; ++r, x += d.ldx, y += d.ldy) {
    const Statistics s(x, d.c, inverse, eps);
    over_lanes(d.c, [&](int64_t c, auto how) {
      how.store(y + c, Vec::fma(s.normalised(how.load(x + c)), how.load(gamma + c), how.load(beta + c)));
    });
  }
}

void backward(const LayerNormDims& d, const float* x, const float* gamma, const float* dy, float* dx, float* dgamma,
              float* dbeta) {
  const float inverse = 1.f / static_cast<float>(d.c), eps = static_cast<float>(d.eps);
  for (int64_t r = 0; r < d.rows; ++r, x += d.ldx, dy += d.lddy) {
    const Statistics s(x, d.c, inverse, eps);
    Vec::T g_sum = Vec::zero(), g_xhat_sum = Vec::zero();
    over_lanes(d.c, [&](int64_t c, auto how) {
      const Vec::T gradient = how.load(dy + c), xhat = s.normalised(how.load(x + c));
      const Vec::T g = Vec::mul(gradient, how.load(gamma + c));
      g_sum = Vec::add(g_sum, g);
      g_xhat_sum = Vec::fma(g, xhat, g_xhat_sum);
      if (dgamma) {
        how.store(dgamma + c, Vec::fma(gradient, xhat, how.load(dgamma + c)));
        how.store(dbeta + c, Vec::add(gradient, how.load(dbeta + c)));
      }
    });
    if (!dx) continue;
    // dx = rstd * g - (rstd * mean(g) + xhat * rstd * mean(g * xhat))
    const Vec::T g_mean = Vec::mul(s.rstd, Vec::set1(Vec::sum(g_sum) * inverse));
    const Vec::T g_xhat_mean = Vec::mul(s.rstd, Vec::set1(Vec::sum(g_xhat_sum) * inverse));
    over_lanes(d.c, [&](int64_t c, auto how) {
      const Vec::T g = Vec::mul(how.load(dy + c), how.load(gamma + c));
      how.store(dx + c, Vec::fms(s.rstd, g, Vec::fma(s.normalised(how.load(x + c)), g_xhat_mean, g_mean)));
    });
    dx += d.ldy;
  }
}

}  // namespace

namespace lgms::kernels {

void LGMS_ROW(layer_norm_forward)(const LayerNormDims& d, const float* x, const float* gamma, const float* beta,
                                  float* y) {
  forward(d, x, gamma, beta, y);
}

void LGMS_ROW(layer_norm_backward)(const LayerNormDims& d, const float* x, const float* gamma, const float* dy,
                                   float* dx, float* dgamma, float* dbeta) {
  backward(d, x, gamma, dy, dx, dgamma, dbeta);
}

}  // namespace lgms::kernels
