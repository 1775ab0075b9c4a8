// From the reference: four pixels at a time, a lane each; our own exp.
#include "kernels/simd/generic.h"
//
#include "kernels/simd/math.h"
#include "kernels/softmax/softmax.h"

namespace lgms::kernels {

void softmax_forward_generic(const SoftmaxDims& d, const float* x, float* p) {
  for (int64_t r = 0; r < d.rows; r += 4, x += 4 * d.ldx, p += 4 * d.ldp) {
    // Pixels past the end repeat the first.
    const int64_t live = d.rows - r, at[4] = {0, live > 1 ? 1 : 0, live > 2 ? 2 : 0, live > 3 ? 3 : 0};
    const auto load = [&](const float* from, int64_t ld) {
      return Vec::T{from[0], from[at[1] * ld], from[at[2] * ld], from[at[3] * ld]};
    };
    const auto store = [&](int64_t c, Vec::T v) {
      for (int l = 3; l >= 0; --l) p[at[l] * d.ldp + c] = v[l];
    };
    Vec::T most = load(x, d.ldx), sum = Vec::zero();
    for (int64_t c = 1; c < d.c; ++c) most = Vec::max(most, load(x + c, d.ldx));
    for (int64_t c = 0; c < d.c; ++c) {
      const Vec::T e = ExpMinus(Vec::min(Vec::set1(87.f), most - load(x + c, d.ldx))).value();
      sum += e;
      store(c, e);
    }
    const Vec::T inverse = 1 / sum;
    for (int64_t c = 0; c < d.c; ++c) store(c, load(p + c, d.ldp) * inverse);
  }
}

}  // namespace lgms::kernels
