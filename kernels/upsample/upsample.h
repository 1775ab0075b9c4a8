#pragma once
// x2 linear interpolation, half-pixel centres, clamped at the edges: along an axis of n,
//   y[2i] = x[i-1]/4 + 3x[i]/4,  y[2i+1] = 3x[i]/4 + x[i+1]/4,  x[-1] = x[0], x[n] = x[n-1],
// applied to H and W, and to D too where scale_d = 2. Backward is the exact transpose:
//   dx[i] = dy[2i-1]/4 + 3dy[2i]/4 + 3dy[2i+1]/4 + dy[2i+2]/4, indices clamped to 0..2n-1.
// Source: torch.nn.Upsample(scale_factor=2, mode="bilinear" | "trilinear", align_corners=False).
#include "kernels/impl.h"
#include "kernels/upsample/line.h"

namespace lgms::kernels {

// x: [N, D, H, W, C]; y: [N, D, 2H, 2W, C] (rank 2) or [N, 2D, 2H, 2W, C] (rank 3), of one type; overwrites y.
// Throws Error{usage} on other shapes, types or ranks.
void upsample_forward(const TensorView& x, int rank, const TensorView& y);
// dx of x's shape, overwritten, from dy of y's shape.
void upsample_backward(const TensorView& dy, int rank, const TensorView& dx);

// d, h, w: of x; scale_d: 1 or 2.
struct UpsampleDims {
  int64_t n, d, h, w, c, scale_d, ldx, ldy;
};

// Implementations in this build, fastest first, reference last.
std::span<const Impl<UpsampleForward>> upsample_forward_impls();
std::span<const Impl<UpsampleBackward>> upsample_backward_impls();
using PreparedUpsample = Prepared<Impl<UpsampleForward>, UpsampleDims>;
PreparedUpsample prepare(const UpsampleDims& d, const Context& context, Device device = Device::cpu);
void run(const PreparedUpsample& p, const float* x, float* y);

}  // namespace lgms::kernels
