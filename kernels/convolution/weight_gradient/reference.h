#pragma once
#include "kernels/convolution/weight_gradient/weight_gradient.h"

namespace lgms::kernels {

template <class T>
void correlation_reference(const CorrelationDims& d, int64_t first, int64_t last, const T* a, const T* b,
                           const CorrelationSums<T>& to, T*) {
  for (int64_t row = 0; row < d.taps() * d.cb; ++row) std::fill_n(to.p + row * d.ldp, d.ca, T{0});
  for (int64_t unit = first; unit < last; ++unit) {
    const Slab s = correlation_slab(d, unit);
    for (int64_t z = s.z; z < s.z + s.slices; ++z)
      for (int64_t y = s.y; y < s.y + s.rows; ++y)
        for (int64_t x = 0; x < d.w; ++x) {
          const int64_t at = ((s.n * d.d + z) * d.h + y) * d.w + x;
          for (int64_t i = 0; to.sum_a && i < d.ca; ++i) to.sum_a[i] += a[at * d.lda + i];
          for (int64_t j = 0; to.sum_b && j < d.cb; ++j) to.sum_b[j] += b[at * d.ldb + j];
          for (int64_t t = 0; t < d.taps(); ++t) {
            const int64_t az = z + t / (d.kh * d.kw) - d.kd / 2;
            const int64_t ay = y + t / d.kw % d.kh - d.kh / 2, ax = x + t % d.kw - d.kw / 2;
            if (az < 0 || az >= d.d || ay < 0 || ay >= d.h || ax < 0 || ax >= d.w) continue;
            const T* pa = a + (((s.n * d.d + az) * d.h + ay) * d.w + ax) * d.lda;
            const T* pb = b + at * d.ldb;
            for (int64_t j = 0; j < d.cb; ++j)
              for (int64_t i = 0; i < d.ca; ++i) to.p[(t * d.cb + j) * d.ldp + i] += pb[j] * pa[i];
          }
        }
  }
}

}  // namespace lgms::kernels
