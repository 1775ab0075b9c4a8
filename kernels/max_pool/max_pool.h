#pragma once
// y[o] = max of x over the 2x2 window at 2o (2x2x2 where window_d = 2), stride 2; a last odd line of x is left out.
// The first maximum wins a tie, NaN wins over numbers. index[o] says which of the window's 4 or 8 elements won, in
// row-major order; backward gives it dy[o] and the others 0.
// Source: torch.nn.MaxPool2d / MaxPool3d(kernel_size=2, stride=2).
#include "kernels/impl.h"

namespace lgms::kernels {

// d, h, w: of x; window_d: 1 or 2; ldx, ldy: row strides (of dx, dy in backward); index is dense.
struct MaxPoolDims {
  int64_t n, d, h, w, c, window_d, ldx, ldy;
  int64_t units() const { return n * (d / window_d) * (h / 2); }  // lines of y along W
  // Pixel of x that is element tap of the window of pixel ow of line unit.
  int64_t pixel(int64_t unit, int64_t ow, int64_t tap) const {
    const int64_t oh = unit % (h / 2), od = unit / (h / 2) % (d / window_d), image = unit / (h / 2 * (d / window_d));
    return ((image * d + od * window_d + tap / 4) * h + 2 * oh + tap / 2 % 2) * w + 2 * ow + tap % 2;
  }
};

// x: [N, D, H, W, C]; y: [N, D, H/2, W/2, C] (rank 2) or [N, D/2, H/2, W/2, C] (rank 3), rounded down, of one type;
// index: u8, dense, of y's shape, or undefined where no gradient will be asked for. Overwrites y and index.
// Throws Error{usage} on other shapes, types or ranks.
void max_pool_forward(const TensorView& x, int rank, const TensorView& y, const TensorView& index);
// dx of x's shape, overwritten, from dy and index of y's shape.
void max_pool_backward(const TensorView& dy, const TensorView& index, int rank, const TensorView& dx);

// Units [first, last). index may be null.
using MaxPoolForward = void(const MaxPoolDims& d, int64_t first, int64_t last, const float* x, float* y,
                            uint8_t* index);
// Writes the elements of every window; those that no window covers are the caller's.
using MaxPoolBackward = void(const MaxPoolDims& d, int64_t first, int64_t last, const float* dy, const uint8_t* index,
                             float* dx);
MaxPoolForward max_pool_forward_generic;
MaxPoolBackward max_pool_backward_generic;
// Implementations in this build, fastest first, reference last.
std::span<const Impl<MaxPoolForward>> max_pool_forward_impls();
std::span<const Impl<MaxPoolBackward>> max_pool_backward_impls();

}  // namespace lgms::kernels
