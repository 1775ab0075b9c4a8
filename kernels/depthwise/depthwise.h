#pragma once
// Depthwise convolution, stride 1, "same" zero padding: every channel has a kernel of its own.
//   y[n,p,c] = bias[c] + sum over taps t of weight[c,t] * x[n, p + t - k/2, c]          (x is 0 outside the image)
// k = 1 is a scale per channel. Source: torch.nn.functional.conv2d / conv3d(groups=C, padding=k//2).
#include "kernels/epilogue.h"
#include "kernels/impl.h"

namespace lgms::kernels {

// x: [N, D, H, W, C], y likewise; weight: [C, 1, kh, kw] or [C, 1, kd, kh, kw], dense, k odd; bias: [C] or undefined.
// One type, f32 or f64; any row strides. Overwrites y, which must not overlap x. Scratch: the packed weights.
// Throws Error{usage} on wrong shapes or types.
void depthwise_forward(const TensorView& x, const TensorView& weight, const TensorView& bias, const TensorView& y);
// dx[n,p,c] = sum over t of weight[c,t] * dy[n, p - t + k/2, c]: forward with the kernel turned around. Overwrites dx.
void depthwise_data_gradient(const TensorView& dy, const TensorView& weight, const TensorView& dx);
// dweight[c,t] = sum over n, p of dy[n,p,c] * x[n, p + t - k/2, c]; dbias[c] = sum of dy[n,p,c]. Overwrites both; dbias
// may be undefined. Same bits for any number of threads.
void depthwise_weight_gradient(const TensorView& x, const TensorView& dy, const TensorView& dweight,
                               const TensorView& dbias);

// 2D is d = 1, kd = 1. Elements from one pixel of x (or dx) to the next: ldx; of y or dy: ldy.
struct DepthwiseDims {
  int64_t n, d, h, w, c, kd, kh, kw, ldx, ldy;
};

// Image rows [first, last) of the n * d * h of y, with the whole epilogue. weight: packed [kd, kh, kw, c].
template <class T>
using DepthwiseForwardOf = void(const DepthwiseDims&, int64_t first, int64_t last, const T* x, const T* weight,
                                const Epilogue<Strided<T>>& epilogue, T* y);
// The share of rows [first, last) of dy: partial [taps + 1, c], overwritten; its last row is dbias.
template <class T>
using DepthwiseWeightGradientOf = void(const DepthwiseDims&, int64_t first, int64_t last, const T* x, const T* dy,
                                       T* partial);
using DepthwiseForward = DepthwiseForwardOf<float>;
using DepthwiseWeightGradient = DepthwiseWeightGradientOf<float>;

DepthwiseForward depthwise_forward_generic, depthwise_forward_avx2, depthwise_forward_avx512;
DepthwiseWeightGradient depthwise_weight_gradient_generic, depthwise_weight_gradient_avx2,
    depthwise_weight_gradient_avx512;
// Implementations in this build, fastest first, reference last. depthwise_accepts: whether a row serves these dims.
std::span<const Impl<DepthwiseForward>> depthwise_forward_impls();
std::span<const Impl<DepthwiseWeightGradient>> depthwise_weight_gradient_impls();
bool depthwise_accepts(Isa row, const DepthwiseDims& d);
using PreparedDepthwise = Prepared<Impl<DepthwiseForward>, DepthwiseDims>;
PreparedDepthwise prepare(const DepthwiseDims& d, const Context& context, Device device = Device::cpu);
// weight: [c, taps]; turned: with its taps mirrored, as the data gradient has them. packed: p.packed_bytes.
void pack(const PreparedDepthwise& p, const float* weight, bool turned, float* packed);
// epilogue: its norm is one table for all images; its residual does not overlap y.
void run(const PreparedDepthwise& p, const float* x, const float* packed, const Epilogue<Strided<float>>& epilogue,
         float* y);

}  // namespace lgms::kernels
