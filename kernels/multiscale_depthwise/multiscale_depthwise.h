#pragma once
// Depthwise convolution with a kernel size per quarter of the channels, stride 1, "same" zero padding:
//   y = concat(dw3(x_0), dw5(x_1), dw7(x_2), dw9(x_3)) (+ x if residual)           x_q: the q-th quarter of x
// Source: upstream LGMSNet network/CMUNeXt_new.py, CMUNeXtBlock_MK_resiual2 (local_dwc, global_dwc_s, _m, _l and the
// sum before its norm_act); written from the paper.
#include <array>

#include "kernels/impl.h"

namespace lgms::kernels {

using Quarters = std::array<TensorView, 4>;

// x: [N, D, H, W, C], C = 4 g; y likewise; weights[q]: [g, 1, k, k] or [g, 1, k, k, k], k = 3 + 2 q, dense; biases[q]:
// [g] or undefined. One type, f32 or f64; any row strides. Overwrites y, which must not overlap x.
// Scratch: up to a few MB per thread. Throws Error{usage} on wrong shapes or types.
void multiscale_depthwise_forward(const TensorView& x, const Quarters& weights, const Quarters& biases, bool residual,
                                  const TensorView& y);
// dx: the same with every kernel turned around, applied to dy (+ dy if residual). Overwrites dx.
void multiscale_depthwise_data_gradient(const TensorView& dy, const Quarters& weights, bool residual,
                                        const TensorView& dx);
// dweights[q][c,t] = sum over n, p of dy[n,p,c] * x[n, p + t - k/2, c]; dbiases[q][c] = sum of dy[n,p,c]. Overwrites
// both; each of dbiases may be undefined. Same bits for any number of threads.
void multiscale_depthwise_weight_gradient(const TensorView& x, const TensorView& dy, const Quarters& dweights,
                                          const Quarters& dbiases);

// volume: kernels are k x k x k, not 1 x k x k. Elements from one pixel of x (or dx) to the next: ldx; of y or dy: ldy.
struct MultiscaleDepthwiseDims {
  int64_t n, d, h, w, c;
  bool volume, residual;
  int64_t ldx, ldy;
};

// A unit of work: channels [j, j + channels), at most four, of each of the quarters [q0, q1), in a strip of rows [y0,
// y1) of slices [z0, z1) of image n.
struct MultiscaleDepthwiseUnit {
  int64_t n, z0, z1, y0, y1, q0, q1, j, channels;
};
// Of a unit: weight[q]: [channels, taps], bias[q]: [channels].
template <class T>
struct MultiscaleDepthwiseParameters {
  T *weight[4], *bias[4];
};

// x, y: the whole tensors. scratch: 64-byte aligned, multiscale_depthwise_scratch(d) floats; the reference needs none.
template <class T>
using MultiscaleDepthwiseForwardOf = void(const MultiscaleDepthwiseDims&, const MultiscaleDepthwiseUnit&, const T* x,
                                          const MultiscaleDepthwiseParameters<const T>&, T* y, T* scratch);
// Adds the unit's share to the gradients.
template <class T>
using MultiscaleDepthwiseWeightGradientOf = void(const MultiscaleDepthwiseDims&, const MultiscaleDepthwiseUnit&,
                                                 const T* x, const T* dy, const MultiscaleDepthwiseParameters<T>&,
                                                 T* scratch);
using MultiscaleDepthwiseForward = MultiscaleDepthwiseForwardOf<float>;
using MultiscaleDepthwiseWeightGradient = MultiscaleDepthwiseWeightGradientOf<float>;
MultiscaleDepthwiseForward multiscale_depthwise_forward_generic, multiscale_depthwise_forward_avx2,
    multiscale_depthwise_forward_avx512;
MultiscaleDepthwiseWeightGradient multiscale_depthwise_weight_gradient_generic,
    multiscale_depthwise_weight_gradient_avx2, multiscale_depthwise_weight_gradient_avx512;
// Slices of y that forward makes at a time.
inline constexpr int64_t kDepthwiseSlices = 4;
int64_t multiscale_depthwise_scratch(const MultiscaleDepthwiseDims& d);

// Implementations in this build, fastest first, reference last.
std::span<const Impl<MultiscaleDepthwiseForward>> multiscale_depthwise_forward_impls();
std::span<const Impl<MultiscaleDepthwiseWeightGradient>> multiscale_depthwise_weight_gradient_impls();
using PreparedMultiscaleDepthwise = Prepared<Impl<MultiscaleDepthwiseForward>, MultiscaleDepthwiseDims>;
PreparedMultiscaleDepthwise prepare(const MultiscaleDepthwiseDims& d, const Context& context,
                                    Device device = Device::cpu);
// weights[q], biases[q]: as in the tensor call, biases[q] may be null; turned: with taps mirrored, as the data gradient
// has them. packed, scratch: p.packed_bytes and p.scratch_bytes, 64-byte aligned.
void pack(const PreparedMultiscaleDepthwise& p, const std::array<const float*, 4>& weights,
          const std::array<const float*, 4>& biases, bool turned, float* packed);
void run(const PreparedMultiscaleDepthwise& p, const float* x, const float* packed, float* y, float* scratch);

}  // namespace lgms::kernels
