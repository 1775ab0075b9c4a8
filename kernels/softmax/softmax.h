#pragma once
// y[r,c] += factor * weight[r] * p[r,c], p[r,c] = exp(x[r,c] - m[r]) / sum over k of exp(x[r,k] - m[r]), m[r] = max
// over k of x[r,k]: the classes' probabilities of every pixel, added to what other windows have seen there. p is
// torch.softmax(x, -1).
#include "kernels/impl.h"

namespace lgms::kernels {

// rows: pixels; ldx, ldy: elements from one pixel to the next, either way; c >= 1.
struct SoftmaxDims {
  int64_t rows, c, ldx, ldy;
  float factor;
};

// x: [rows, c], finite (else the pixel's y become NaN); weight: [rows]; y: [rows, c], added to; scratch: as many floats
// as softmax_scratch says. The caller owns threads: any range of rows is a problem of its own, and a pixel's result
// does not depend on the rows beside it.
using SoftmaxAdd = void(const SoftmaxDims&, const float* x, const float* weight, float* y, float* scratch);
SoftmaxAdd softmax_add_avx512, softmax_add_avx2, softmax_add_generic;

// For any implementation.
constexpr int64_t softmax_scratch(int64_t rows, int64_t c) { return rows * c + 15; }

// Implementations in this build, fastest first, reference last.
std::span<const Impl<SoftmaxAdd>> softmax_add_impls();

}  // namespace lgms::kernels
