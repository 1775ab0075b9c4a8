// Sixteen lanes; tiles of 8 rows by 32 pixels take 16 of the 32 registers, the weights of a column up to 9. 1.8x of
// AVX2 in the tiles of k = 9; 1.4x as a whole on 128x128 (0.36 ms against 0.49), which the transposes and caches share.
#include <immintrin.h>

#include "kernels/multiscale_depthwise/planar.h"

namespace lgms::kernels {
namespace {

struct Zmm {
  using v = __m512;
  static constexpr int L = 16, R = 8, RW = 8;
  static constexpr bool kFewRegisters = false;

  static v load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, v a) { _mm512_storeu_ps(p, a); }
  static v broadcast(float a) { return _mm512_set1_ps(a); }
  static v fma(v a, v b, v c) { return _mm512_fmadd_ps(a, b, c); }
  static v add(v a, v b) { return _mm512_add_ps(a, b); }
  static float sum(v a) { return _mm512_reduce_add_ps(a); }

  // 4x4 transposes inside the 128-bit lanes.
  static void transpose(v (&a)[4]) {
    const __m512d t0 = _mm512_castps_pd(_mm512_unpacklo_ps(a[0], a[1])),
                  t1 = _mm512_castps_pd(_mm512_unpacklo_ps(a[2], a[3]));
    const __m512d t2 = _mm512_castps_pd(_mm512_unpackhi_ps(a[0], a[1])),
                  t3 = _mm512_castps_pd(_mm512_unpackhi_ps(a[2], a[3]));
    a[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(t0, t1));
    a[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(t0, t1));
    a[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(t2, t3));
    a[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(t2, t3));
  }
  // Vector i takes pixels i, i + 4, i + 8, i + 12: loads insert lanes (no shuffles), transposed they are in order.
  static void gather(const float* p, int64_t ld, v (&out)[4]) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i, p += ld) {
      v a = _mm512_castps128_ps512(_mm_loadu_ps(p));
      a = _mm512_insertf32x4(a, _mm_loadu_ps(p + 4 * ld), 1);
      a = _mm512_insertf32x4(a, _mm_loadu_ps(p + 8 * ld), 2);
      out[i] = _mm512_insertf32x4(a, _mm_loadu_ps(p + 12 * ld), 3);
    }
    transpose(out);
  }
  static void scatter(v (&in)[4], float* p, int64_t ld) {
    transpose(in);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i, p += ld) {
      _mm_storeu_ps(p, _mm512_castps512_ps128(in[i]));
      _mm_storeu_ps(p + 4 * ld, _mm512_extractf32x4_ps(in[i], 1));
      _mm_storeu_ps(p + 8 * ld, _mm512_extractf32x4_ps(in[i], 2));
      _mm_storeu_ps(p + 12 * ld, _mm512_extractf32x4_ps(in[i], 3));
    }
  }
};

}  // namespace

void multiscale_depthwise_forward_avx512(const Dims& d, const Unit& u, const float* x,
                                         const MultiscaleDepthwiseParameters<const float>& w, float* y,
                                         float* scratch) {
  forward<Zmm>(d, u, x, w, y, scratch);
}

void multiscale_depthwise_weight_gradient_avx512(const Dims& d, const Unit& u, const float* x, const float* dy,
                                                 const MultiscaleDepthwiseParameters<float>& dw, float* scratch) {
  weight_gradient<Zmm>(d, u, x, dy, dw, scratch);
}

}  // namespace lgms::kernels
