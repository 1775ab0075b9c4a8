#pragma once
// The same in bfloat16, over the instructions of the file that includes this: zeros times zeros, as fast as any.
#include "kernels/roofline/roofline.h"

namespace lgms::kernels {

float LGMS_ROW(multiply_adds_bf16_pairs)(int64_t rounds) {
  constexpr int chains = static_cast<int>(kMultiplyAdds);
  constexpr Bf16 zeros[32] = {};
  const Bf16Pairs::T zero = Bf16Pairs::load(zeros);
  Vec::T a[chains];
  LGMS_UNROLL
  for (int i = 0; i < chains; ++i) a[i] = Vec::set1(1);
  for (int64_t r = 0; r < rounds; ++r) {
    LGMS_UNROLL
    for (int i = 0; i < chains; ++i) a[i] = Bf16Pairs::dot(a[i], zero, zero);
  }
  float sum = 0;
  LGMS_UNROLL
  for (int i = 0; i < chains; ++i) sum += Vec::sum(a[i]);
  return sum;
}

float LGMS_ROW(multiply_adds_bf16_tiles)(int64_t rounds) {
  static_assert(kMultiplyAdds == 12);
  constexpr Bf16 zeros[32] = {};
  alignas(64) float sums[16 * 16];
  Bf16Tiles::begin();
  Bf16Tiles::load<4>(zeros, 0);
  Bf16Tiles::load<5>(zeros, 0);
  for (int64_t r = 0; r < rounds; ++r)
    for (int i = 0; i < 3; ++i) {
      Bf16Tiles::dot<0, 4, 5>();
      Bf16Tiles::dot<1, 4, 5>();
      Bf16Tiles::dot<2, 4, 5>();
      Bf16Tiles::dot<3, 4, 5>();
    }
  Bf16Tiles::store<0>(sums, 64);
  Bf16Tiles::end();
  return sums[0];
}

}  // namespace lgms::kernels
