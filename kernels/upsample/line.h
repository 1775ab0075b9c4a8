#pragma once
// What an implementation of upsample does: a line along W. The other axes are a weighted sum of lines,
//   forward  t[j] = sum_k weight[k] * x[offset[k] + j * ldx], 0 <= j < w
//            y[2j] = 3/4 t[j] + 1/4 t[j-1],  y[2j+1] = 3/4 t[j] + 1/4 t[j+1]
//   backward t[j] = sum_k weight[k] * dy[offset[k] + j * ldy], 0 <= j < 2w
//            dx[j] = 3/4 (t[2j] + t[2j+1]) + 1/4 (t[2j-1] + t[2j+2])
// with the indices of t clamped to its ends.
#include <cstdint>

namespace lgms::kernels {

struct UpsampleLine {
  int64_t w, c, ldx, ldy;  // w: pixels of x; row strides of x, y (of dx, dy in backward)
  int64_t taps;            // forward 2 (rank 2) or 4, backward 4 or 16
  int64_t offset[16];      // elements
  float weight[16];
};

// x: the tensor's first element; y: the line's.
using UpsampleForward = void(const UpsampleLine& l, const float* x, float* y);
// dy: the tensor's first element; dx: the line's.
using UpsampleBackward = void(const UpsampleLine& l, const float* dy, float* dx);
UpsampleForward upsample_forward_avx512, upsample_forward_avx2, upsample_forward_generic;
UpsampleBackward upsample_backward_avx512, upsample_backward_avx2, upsample_backward_generic;

}  // namespace lgms::kernels
