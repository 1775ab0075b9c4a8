#pragma once
#include <cstdint>

namespace lgms::kernels {

// Convolution with stride 1 and "same" zero padding, in groups. 2D is d = 1, kd = 1.
//   y[n,p,o] = bias[o] + sum over taps t of the kd x kh x kw window and inputs i of o's group of
//              weight[o,i,t] * x[n, p + t - k/2, i]          (x is 0 outside the image)
// x: [n,d,h,w,cin] at row stride ldx; y: [n,d,h,w,cout] at ldy; weight: dense [cout, cin/groups, kd,kh,kw]; bias
// [cout]. k is odd; cin and cout are multiples of groups. Source: torch.nn.functional.conv2d / conv3d(padding=k//2).
struct ConvolutionDims {
  int64_t n, d, h, w, cin, cout, groups, kd, kh, kw, ldx, ldy;

  int64_t rows() const { return n * d * h * w; }
  int64_t taps() const { return kd * kh * kw; }
};

}  // namespace lgms::kernels
