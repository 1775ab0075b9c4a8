// Sixteen channels at a time, the last ones by mask: 2.0x of AVX2 (64x64, C = 16: 8.6 us).
#include <immintrin.h>

#include "kernels/depthwise/channels.h"

namespace lgms::kernels {
namespace {

struct Zmm {
  using v = __m512;
  static constexpr int L = 16;

  static __mmask16 first(int64_t n) { return static_cast<__mmask16>((1 << n) - 1); }
  template <bool full>
  static v load(const float* p, int64_t n) {
    return full ? _mm512_loadu_ps(p) : _mm512_maskz_loadu_ps(first(n), p);
  }
  template <bool full>
  static void store(float* p, v a, int64_t n) {
    if (full)
      _mm512_storeu_ps(p, a);
    else
      _mm512_mask_storeu_ps(p, first(n), a);
  }
  static v broadcast(float a) { return _mm512_set1_ps(a); }
  static v fma(v a, v b, v c) { return _mm512_fmadd_ps(a, b, c); }
  static v add(v a, v b) { return _mm512_add_ps(a, b); }
};

}  // namespace

void depthwise_forward_avx512(const Dims& d, int64_t first, int64_t last, const float* x, const float* weight,
                              const float* bias, float* y) {
  forward<Zmm>(d, first, last, x, weight, bias, y);
}

void depthwise_weight_gradient_avx512(const Dims& d, int64_t first, int64_t last, const float* x, const float* dy,
                                      float* partial) {
  weight_gradient<Zmm>(d, first, last, x, dy, partial);
}

}  // namespace lgms::kernels
