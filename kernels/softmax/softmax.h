#pragma once
// p[r,c] = exp(x[r,c] - m[r]) / sum over k of exp(x[r,k] - m[r]), m[r] = max over k of x[r,k]: the classes'
// probabilities of every pixel. torch.softmax(x, -1).
#include "kernels/impl.h"

namespace lgms::kernels {

// rows: pixels; ldx, ldp >= c: elements from one pixel to the next.
struct SoftmaxDims {
  int64_t rows, c, ldx, ldp;
};

// x: [rows, c], finite; p likewise, overwritten; may be x. The caller owns threads: any range of rows is a problem of
// its own, and a pixel's result does not depend on the rows beside it.
using SoftmaxForward = void(const SoftmaxDims&, const float* x, float* p);
SoftmaxForward softmax_forward_generic;

// Implementations in this build, fastest first, reference last.
std::span<const Impl<SoftmaxForward>> softmax_forward_impls();

}  // namespace lgms::kernels
