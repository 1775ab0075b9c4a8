#pragma once
// The probabilities of all pixels, a pixel after the other, its classes in vectors; then they are added, without regard
// to pixels where these lie together: a pixel's load of y would have to wait for the masked store before it. (A lane
// for each pixel, classes transposed, is no faster by AVX-512 and slower by four lanes.)
#include "kernels/simd/math.h"
#include "kernels/softmax/softmax.h"

namespace {

// p = weight * softmax(x) of one pixel. over(step): as over_lanes(c, step). Whole vectors are stored.
template <class Over>
LGMS_INLINE void scaled_softmax(const float* x, float weight, const Over& over, float* p) {
  const Vec::T below = Vec::set1(-3.4e38f), range = Vec::set1(87.f);
  Vec::T most = below, sum = Vec::zero();
  over([&](int64_t c, auto how) { most = Vec::max(most, how.keep(how.load(x + c), below)); });
  most = Vec::set1(Vec::largest(most));
  over([&](int64_t c, auto how) {
    const Vec::T e = ExpMinus(Vec::min(range, Vec::sub(most, how.load(x + c)))).value();
    Vec::store(p + c, e);
    sum = Vec::add(sum, how.keep(e));
  });
  const Vec::T scale = Vec::set1(weight / Vec::sum(sum));
  over([&](int64_t c, auto) { Vec::store(p + c, Vec::mul(scale, Vec::load(p + c))); });
}

}  // namespace

namespace lgms::kernels {

void LGMS_ROW(softmax_add)(const SoftmaxDims& dims, const float* x, const float* weight, float* y, float* scratch) {
  const SoftmaxDims d = dims;
  float* p = scratch;  // the next pixel overwrites what is too much
  if (d.c <= Vec::lanes)
    for (int64_t r = 0; r < d.rows; ++r, x += d.ldx, p += d.c)
      scaled_softmax(
          x, d.factor * weight[r], [&](const auto& step) { step(int64_t{0}, First{d.c}); }, p);
  else
    for (int64_t r = 0; r < d.rows; ++r, x += d.ldx, p += d.c)
      scaled_softmax(
          x, d.factor * weight[r], [&](const auto& step) { over_lanes(d.c, step); }, p);
  const bool together = d.ldy == d.c;
  const int64_t lines = together ? 1 : d.rows, length = together ? d.rows * d.c : d.c;
  for (int64_t r = 0; r < lines; ++r, y += d.ldy, scratch += d.c)
    over_lanes(length,
               [&](int64_t c, auto how) { how.store(y + c, Vec::add(how.load(y + c), how.load(scratch + c))); });
}

}  // namespace lgms::kernels
