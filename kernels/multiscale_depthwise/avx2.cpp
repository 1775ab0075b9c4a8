// Eight lanes; tiles of 6 rows by 16 pixels take 12 of the 16 registers (4 rows: 0.87x).
#include <immintrin.h>

#include "kernels/multiscale_depthwise/planar.h"

namespace lgms::kernels {
namespace {

struct Ymm {
  using v = __m256;
  static constexpr int L = 8, R = 6, RW = 4;
  static constexpr bool kFewRegisters = true;

  static v load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, v a) { _mm256_storeu_ps(p, a); }
  static v broadcast(float a) { return _mm256_set1_ps(a); }
  static v fma(v a, v b, v c) { return _mm256_fmadd_ps(a, b, c); }
  static v add(v a, v b) { return _mm256_add_ps(a, b); }
  static float sum(v a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }

  // 4x4 transposes inside the 128-bit lanes.
  static void transpose(v (&a)[4]) {
    const __m256d t0 = _mm256_castps_pd(_mm256_unpacklo_ps(a[0], a[1])),
                  t1 = _mm256_castps_pd(_mm256_unpacklo_ps(a[2], a[3]));
    const __m256d t2 = _mm256_castps_pd(_mm256_unpackhi_ps(a[0], a[1])),
                  t3 = _mm256_castps_pd(_mm256_unpackhi_ps(a[2], a[3]));
    a[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(t0, t1));
    a[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(t0, t1));
    a[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(t2, t3));
    a[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(t2, t3));
  }
  // Vector i takes pixels i and i + 4: the load inserts the lane (no shuffle), transposed they are in order.
  static void gather(const float* p, int64_t ld, v (&out)[4]) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i, p += ld)
      out[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + 4 * ld), 1);
    transpose(out);
  }
  static void scatter(v (&in)[4], float* p, int64_t ld) {
    transpose(in);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i, p += ld) {
      _mm_storeu_ps(p, _mm256_castps256_ps128(in[i]));
      _mm_storeu_ps(p + 4 * ld, _mm256_extractf128_ps(in[i], 1));
    }
  }
};

}  // namespace

void multiscale_depthwise_forward_avx2(const Dims& d, const Unit& u, const float* x,
                                       const MultiscaleDepthwiseParameters<const float>& w, float* y, float* scratch) {
  forward<Ymm>(d, u, x, w, y, scratch);
}

void multiscale_depthwise_weight_gradient_avx2(const Dims& d, const Unit& u, const float* x, const float* dy,
                                               const MultiscaleDepthwiseParameters<float>& dw, float* scratch) {
  weight_gradient<Ymm>(d, u, x, dy, dw, scratch);
}

}  // namespace lgms::kernels
