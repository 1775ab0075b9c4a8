// From generic (33 ns a row of 48 channels, backward 80): 8 channels at a time, all of them masked: 27 ns, backward 47;
// masks for the last few only: 15 ns, backward 30.
#include <immintrin.h>

#include "kernels/layer_norm/rows.h"

namespace lgms::kernels {
namespace {

#define LGMS_INLINE inline __attribute__((always_inline))

// How 8 channels are read and written: all of them, or the last few through a mask.
struct Full {
  LGMS_INLINE __m256 load(const float* p) const { return _mm256_loadu_ps(p); }
  LGMS_INLINE void store(float* p, __m256 v) const { _mm256_storeu_ps(p, v); }
  LGMS_INLINE __m256 keep(__m256 v) const { return v; }
};
struct Masked {
  LGMS_INLINE __m256 load(const float* p) const { return _mm256_maskload_ps(p, mask); }
  LGMS_INLINE void store(float* p, __m256 v) const { _mm256_maskstore_ps(p, mask, v); }
  LGMS_INLINE __m256 keep(__m256 v) const { return _mm256_and_ps(v, _mm256_castsi256_ps(mask)); }
  __m256i mask;
};

// step(first channel, how) for every 8 of c channels.
template <class Step>
LGMS_INLINE void each(int64_t c, const Step& step) {
  int64_t i = 0;
  for (; i + 8 <= c; i += 8) step(i, Full{});
  if (i == c) return;
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  step(i, Masked{_mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(c - i)), lanes)});
}

LGMS_INLINE float sum_of(__m256 v) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

struct Statistics {
  __m256 mean, rstd;
};

LGMS_INLINE Statistics statistics(const float* x, int64_t c, float inverse, float eps) {
  __m256 sum = _mm256_setzero_ps(), squares = _mm256_setzero_ps();
  each(c, [&](int64_t i, auto how) { sum = _mm256_add_ps(sum, how.load(x + i)); });
  const __m256 mean = _mm256_set1_ps(sum_of(sum) * inverse);
  each(c, [&](int64_t i, auto how) {
    const __m256 centred = how.keep(_mm256_sub_ps(how.load(x + i), mean));
    squares = _mm256_fmadd_ps(centred, centred, squares);
  });
  const __m128 variance = _mm_set_ss(sum_of(squares) * inverse + eps);
  return {mean, _mm256_broadcastss_ps(_mm_div_ss(_mm_set_ss(1.f), _mm_sqrt_ss(variance)))};
}

}  // namespace

void layer_norm_forward_avx2(const LayerNormDims& d, const float* x, const float* gamma, const float* beta, float* y) {
  const float inverse = 1.f / static_cast<float>(d.c), eps = static_cast<float>(d.eps);
  for (int64_t r = 0; r < d.rows; ++r, x += d.ldx, y += d.ldy) {
    const Statistics s = statistics(x, d.c, inverse, eps);
    each(d.c, [&](int64_t c, auto how) {
      const __m256 xhat = _mm256_mul_ps(_mm256_sub_ps(how.load(x + c), s.mean), s.rstd);
      how.store(y + c, _mm256_fmadd_ps(xhat, how.load(gamma + c), how.load(beta + c)));
    });
  }
}

void layer_norm_backward_avx2(const LayerNormDims& d, const float* x, const float* gamma, const float* dy, float* dx,
                              float* dgamma, float* dbeta) {
  const float inverse = 1.f / static_cast<float>(d.c), eps = static_cast<float>(d.eps);
  for (int64_t r = 0; r < d.rows; ++r, x += d.ldx, dy += d.lddy) {
    const Statistics s = statistics(x, d.c, inverse, eps);
    __m256 g_sum = _mm256_setzero_ps(), g_xhat_sum = _mm256_setzero_ps();
    each(d.c, [&](int64_t c, auto how) {
      const __m256 gradient = how.load(dy + c);
      const __m256 xhat = _mm256_mul_ps(_mm256_sub_ps(how.load(x + c), s.mean), s.rstd);
      const __m256 g = _mm256_mul_ps(gradient, how.load(gamma + c));
      g_sum = _mm256_add_ps(g_sum, g);
      g_xhat_sum = _mm256_fmadd_ps(g, xhat, g_xhat_sum);
      if (dgamma) {
        how.store(dgamma + c, _mm256_fmadd_ps(gradient, xhat, how.load(dgamma + c)));
        how.store(dbeta + c, _mm256_add_ps(gradient, how.load(dbeta + c)));
      }
    });
    if (!dx) continue;
    // dx = rstd * g - (rstd * mean(g) + xhat * rstd * mean(g * xhat))
    const __m256 g_mean = _mm256_mul_ps(s.rstd, _mm256_set1_ps(sum_of(g_sum) * inverse));
    const __m256 g_xhat_mean = _mm256_mul_ps(s.rstd, _mm256_set1_ps(sum_of(g_xhat_sum) * inverse));
    each(d.c, [&](int64_t c, auto how) {
      const __m256 xhat = _mm256_mul_ps(_mm256_sub_ps(how.load(x + c), s.mean), s.rstd);
      const __m256 g = _mm256_mul_ps(how.load(dy + c), how.load(gamma + c));
      how.store(dx + c, _mm256_fmsub_ps(s.rstd, g, _mm256_fmadd_ps(xhat, g_xhat_mean, g_mean)));
    });
    dx += d.ldy;
  }
}

}  // namespace lgms::kernels
