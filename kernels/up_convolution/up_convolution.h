#pragma once
// A convolution of three taps per axis behind an upsampling by two (upsample.h), "same" zero padding, stride 1:
//   y = conv3(up(x)) + bias
// without the upsampled tensor, and with a quarter (3D: an eighth) of its multiply-adds: both are linear, so the
// channels are mixed first, where the pixels are few. Along one axis, with v_k = W_k x,
//   y[2i]     = 3/4 (v0[i-1] + v1[i] + v2[i])   + 1/4 (v0[i] + v1[i-1] + v2[i+1])
//   y[2i + 1] = 3/4 (v0[i]   + v1[i] + v2[i+1]) + 1/4 (v0[i-1] + v1[i+1] + v2[i])
// where indices stop at the borders as the upsampling does, and v0 is left out of the first y and v2 of the last one,
// whose taps are in the convolution's padding. All axes, one after the other, are as exact. Forward only.
// Source: torch.nn.Upsample(scale_factor=2, bilinear or trilinear, align_corners=False), torch.nn.Conv2d / Conv3d.
#include "kernels/convolution/convolution.h"

namespace lgms::kernels {

// x: [n, d, h, w, cin] at row stride ldx; y: [n, 2d, 2h, 2w, cout] at ldy, or where not volume [n, d, 2h, 2w, cout];
// weight: dense [cout, cin, 3, 3] or [cout, cin, 3, 3, 3].
struct UpConvolutionDims {
  int64_t n, d, h, w, cin, cout;
  bool volume;
  int64_t ldx, ldy;

  int64_t taps() const { return volume ? 27 : 9; }
};

// One implementation. A unit is a strip of rows of a slab of planes of x, and so is a block of moments; units depend on
// dims only. packed: [taps * cout / lanes][cin][lanes], or in bfloat16 as convolution/forward/bf16.h has those of
// up_convolution_mixing. scratch: up_convolution_scratch(d) floats, of one call, and in bfloat16 a row of x.
using UpConvolutionRun = void(const UpConvolutionDims&, int64_t first, int64_t last, const float* x,
                              const float* packed, const Fusing<float>& fusing, float* y, float* scratch);
using UpConvolutionImpl = LanesImpl<UpConvolutionRun>;
// Implementations in this build, fastest first, reference last.
std::span<const UpConvolutionImpl> up_convolution_impls();
// Those in bfloat16, which come before where the context's precision is theirs or better.
std::span<const UpConvolutionImpl> up_convolution_bf16_impls();
UpConvolutionRun up_convolution_avx512, up_convolution_avx2, up_convolution_generic;
UpConvolutionRun up_convolution_bf16_pairs_avx512, up_convolution_bf16_tiles_avx512;

// The 1x1 convolution that mixes the channels of a row of x: all taps' outputs, output t * cout + o of tap t.
inline ConvolutionDims up_convolution_mixing(const UpConvolutionDims& d) {
  return {1, 1, 1, d.w, d.cin, d.taps() * d.cout, 1, 1, 1, 1, d.ldx, d.taps() * d.cout};
}

// Rows [y0, y1) of planes [z0, z1) of x, image n.
struct UpConvolutionUnit {
  int64_t n, z0, z1, y0, y1;
};
UpConvolutionUnit up_convolution_unit(const UpConvolutionDims& d, int64_t unit);
int64_t up_convolution_units(const UpConvolutionDims& d);
int64_t up_convolution_scratch(const UpConvolutionDims& d);

using PreparedUpConvolution = Prepared<UpConvolutionImpl, UpConvolutionDims>;
PreparedUpConvolution prepare(const UpConvolutionDims& d, const Context& context, Device device = Device::cpu);
// The same for one row.
PreparedUpConvolution prepare(const UpConvolutionDims& d, const UpConvolutionImpl& row, const Context& context);
// packed, scratch: p.packed_bytes and p.scratch_bytes, 64-byte aligned.
void pack(const PreparedUpConvolution& p, const float* weight, float* packed);
// y overlaps neither x nor a residual; there is no prologue.
void run(const PreparedUpConvolution& p, const float* x, const float* packed, const Fusing<float>& fusing, float* y,
         float* scratch);
// The blocks of an image whose moments are summed, and their pixels.
int64_t up_convolution_blocks(const UpConvolutionDims& d);
int64_t up_convolution_pixels(const UpConvolutionDims& d, int64_t block);

}  // namespace lgms::kernels
