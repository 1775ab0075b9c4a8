#pragma once
// y[o] = max of x over the 2x2 window at 2o (2x2x2 where window_d = 2), stride 2; a last odd line of x is left out.
// The first maximum wins a tie, NaN wins over numbers. index[o] says which of the window's 4 or 8 elements won, in
// row-major order; backward gives it dy[o] and the others 0.
// Source: torch.nn.MaxPool2d / MaxPool3d(kernel_size=2, stride=2).
#include "kernels/impl.h"
#include "kernels/max_pool/line.h"

namespace lgms::kernels {

// x: [N, D, H, W, C]; y: [N, D, H/2, W/2, C] (rank 2) or [N, D/2, H/2, W/2, C] (rank 3), rounded down, of one type;
// index: u8, dense, of y's shape, or undefined where no gradient will be asked for. Overwrites y and index.
// Throws Error{usage} on other shapes, types or ranks.
void max_pool_forward(const TensorView& x, int rank, const TensorView& y, const TensorView& index);
// dx of x's shape, overwritten, from dy and index of y's shape.
void max_pool_backward(const TensorView& dy, const TensorView& index, int rank, const TensorView& dx);

// d, h, w: of x; window_d: 1 or 2.
struct MaxPoolDims {
  int64_t n, d, h, w, c, window_d, ldx, ldy;
};

// Implementations in this build, fastest first, reference last.
std::span<const Impl<MaxPoolForward>> max_pool_forward_impls();
std::span<const Impl<MaxPoolBackward>> max_pool_backward_impls();
using PreparedMaxPool = Prepared<Impl<MaxPoolForward>, MaxPoolDims>;
PreparedMaxPool prepare(const MaxPoolDims& d, const Context& context, Device device = Device::cpu);
// index: null where it is not wanted.
void run(const PreparedMaxPool& p, const float* x, float* y, uint8_t* index);

}  // namespace lgms::kernels
