#pragma once
// The probabilities of all pixels first, a pixel after the other, its classes in vectors; then they are added, without
// regard to pixels where these lie together. (A pixel's load of y would have to wait for the masked store before it.)
#include "kernels/simd/math.h"
#include "kernels/softmax/softmax.h"

namespace lgms::kernels {

void LGMS_ROW(softmax_add)(const SoftmaxDims& d, const float* x, const float* weight, float* y, float* scratch) {
  const Vec::T below = Vec::set1(-3.4e38f), range = Vec::set1(87.f);
  float* p = scratch;  // whole vectors are stored: the next pixel overwrites what is too much
  for (int64_t r = 0; r < d.rows; ++r, x += d.ldx, p += d.c) {
    Vec::T most = below, sum = Vec::zero();
    over_lanes(d.c, [&](int64_t c, auto how) { most = Vec::max(most, how.keep(how.load(x + c), below)); });
    most = Vec::set1(Vec::largest(most));
    over_lanes(d.c, [&](int64_t c, auto how) {
      const Vec::T e = ExpMinus(Vec::min(range, Vec::sub(most, how.load(x + c)))).value();
      Vec::store(p + c, e);
      sum = Vec::add(sum, how.keep(e));
    });
    const Vec::T scale = Vec::set1(d.factor * weight[r] / Vec::sum(sum));
    for (int64_t c = 0; c < d.c; c += Vec::lanes) Vec::store(p + c, Vec::mul(scale, Vec::load(p + c)));
  }
  const bool together = d.ldy == d.c;
  const int64_t lines = together ? 1 : d.rows, length = together ? d.rows * d.c : d.c;
  for (int64_t r = 0; r < lines; ++r, y += d.ldy, scratch += d.c)
    over_lanes(length,
               [&](int64_t c, auto how) { how.store(y + c, Vec::add(how.load(y + c), how.load(scratch + c))); });
}

}  // namespace lgms::kernels
