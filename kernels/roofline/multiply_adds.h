#pragma once
// Chains of multiply-adds over the Vec of the file that includes this, as many as hide their latency.
#include "kernels/roofline/roofline.h"

namespace lgms::kernels {

float LGMS_ROW(multiply_adds)(int64_t rounds) {
  constexpr int chains = static_cast<int>(kMultiplyAdds);
  const Vec::T factor = Vec::set1(0.999f), more = Vec::set1(0.001f);
  Vec::T a[chains];
  LGMS_UNROLL
  for (int i = 0; i < chains; ++i) a[i] = Vec::set1(static_cast<float>(i));
  for (int64_t r = 0; r < rounds; ++r) {
    LGMS_UNROLL
    for (int i = 0; i < chains; ++i) a[i] = Vec::fma(a[i], factor, more);
  }
  float sum = 0;
  LGMS_UNROLL
  for (int i = 0; i < chains; ++i) sum += Vec::sum(a[i]);
  return sum;
}

}  // namespace lgms::kernels
