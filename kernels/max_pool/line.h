#pragma once
// What an implementation of max_pool does: a line of windows along W.
#include <cstdint>

namespace lgms::kernels {

// Window o starts at pixel 2 * o of its line of x. ldx, ldy: row strides (of dx, dy in backward); the index is dense.
struct MaxPoolLine {
  int64_t outputs, c, ldx, ldy;
  int64_t taps, offset[8];  // the 4 or 8 elements of a window, from its first, in elements
};

// x: the first window's first element. index may be null.
using MaxPoolForward = void(const MaxPoolLine& l, const float* x, float* y, uint8_t* index);
// Overwrites every element of the windows of dx.
using MaxPoolBackward = void(const MaxPoolLine& l, const float* dy, const uint8_t* index, float* dx);
MaxPoolForward max_pool_forward_avx512, max_pool_forward_avx2, max_pool_forward_generic;
MaxPoolBackward max_pool_backward_avx512, max_pool_backward_avx2, max_pool_backward_generic;

}  // namespace lgms::kernels
