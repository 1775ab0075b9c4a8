#pragma once
// A pixel after the other, its classes in vectors.
#include "kernels/simd/math.h"
#include "kernels/softmax/softmax.h"

namespace lgms::kernels {

void LGMS_ROW(softmax_add)(const SoftmaxDims& d, const float* x, const float* weight, float* y, float* scratch) {
  const Vec::T below = Vec::set1(-3.4e38f), range = Vec::set1(87.f);
  for (int64_t r = 0; r < d.rows; ++r, x += d.ldx, y += d.ldy) {
    Vec::T most = below, sum = Vec::zero();
    over_lanes(d.c, [&](int64_t c, auto how) { most = Vec::max(most, how.keep(how.load(x + c), below)); });
    most = Vec::set1(Vec::largest(most));
    over_lanes(d.c, [&](int64_t c, auto how) {
      const Vec::T e = ExpMinus(Vec::min(range, Vec::sub(most, how.load(x + c)))).value();
      how.store(scratch + c, e);
      sum = Vec::add(sum, how.keep(e));
    });
    const Vec::T scale = Vec::set1(d.factor * weight[r] / Vec::sum(sum));
    over_lanes(d.c,
               [&](int64_t c, auto how) { how.store(y + c, Vec::fma(scale, how.load(scratch + c), how.load(y + c))); });
  }
}

}  // namespace lgms::kernels
