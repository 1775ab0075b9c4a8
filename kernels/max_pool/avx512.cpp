// From generic (16 GB/s at C = 16): 16 channels, the last ones masked; winners are narrowed to bytes as they are
// stored: 64 GB/s.
#include <immintrin.h>

#include "kernels/max_pool/line.h"

namespace lgms::kernels {

void max_pool_forward_avx512(const MaxPoolLine& l, const float* x, float* y, uint8_t* index) {
  for (int64_t o = 0; o < l.outputs; ++o, x += 2 * l.ldx, y += l.ldy, index += index ? l.c : 0)
    for (int64_t c = 0; c < l.c; c += 16) {
      const auto m = static_cast<__mmask16>(l.c - c >= 16 ? 0xffff : (1 << (l.c - c)) - 1);
      __m512 best = _mm512_maskz_loadu_ps(m, x + c);
      __m512i winner = _mm512_setzero_si512();
      for (int64_t tap = 1; tap < l.taps; ++tap) {
        const __m512 value = _mm512_maskz_loadu_ps(m, x + l.offset[tap] + c);
        const __mmask16 take =
            _mm512_cmp_ps_mask(value, best, _CMP_GT_OQ) | _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
        best = _mm512_mask_mov_ps(best, take, value);
        winner = _mm512_mask_mov_epi32(winner, take, _mm512_set1_epi32(static_cast<int>(tap)));
      }
      _mm512_mask_storeu_ps(y + c, m, best);
      if (index) _mm512_mask_cvtepi32_storeu_epi8(index + c, m, winner);
    }
}

void max_pool_backward_avx512(const MaxPoolLine& l, const float* dy, const uint8_t* index, float* dx) {
  for (int64_t o = 0; o < l.outputs; ++o, dx += 2 * l.ldx, dy += l.ldy, index += l.c)
    for (int64_t c = 0; c < l.c; c += 16) {
      const auto m = static_cast<__mmask16>(l.c - c >= 16 ? 0xffff : (1 << (l.c - c)) - 1);
      const __m512 gradient = _mm512_maskz_loadu_ps(m, dy + c);
      const __m128i winner = _mm_maskz_loadu_epi8(m, index + c);
      for (int64_t tap = 0; tap < l.taps; ++tap) {
        const __mmask16 won = _mm_cmpeq_epi8_mask(winner, _mm_set1_epi8(static_cast<char>(tap)));
        _mm512_mask_storeu_ps(dx + l.offset[tap] + c, m, _mm512_maskz_mov_ps(won, gradient));
      }
    }
}

}  // namespace lgms::kernels
