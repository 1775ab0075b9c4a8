#pragma once
// The direct convolution: what its ISA files share. lanes = output channels of a group; the input of a unit is copied,
// with its zero border, to a strip [cin / 16][planes][rows][pixels][16] in scratch.
#include "kernels/convolution/convolution.h"

namespace lgms::kernels {

inline constexpr int64_t kStripChannels = 16;
// Most pixels that a register tile writes beyond the last pixel of a row (into nothing: they are not stored).
inline constexpr int64_t kStripSlack = 24;

// The cut of an output into units: one group, one plane, th rows of tw pixels. From dims only. A 1x1 convolution sees
// all pixels as one row.
struct DirectCut {
  ConvolutionDims d;
  int64_t th, tw;         // extents of a full unit
  int64_t rows, columns;  // units along H and W
  int64_t line;           // pixels from one strip row to the next
  int64_t blocks;         // of 16 input channels of a group
  int64_t units() const { return d.groups * d.n * d.d * rows * columns; }
  int64_t strip_size() const { return blocks * d.kd * (th + d.kh - 1) * line * kStripChannels; }
};
bool direct_accepts(const ConvolutionDims& d);  // more than one tap
DirectCut direct_cut(const ConvolutionDims& d);
int64_t direct_units(const ConvolutionDims& d);
int64_t direct_scratch_size(const ConvolutionDims& d);
// A block of moments is what the units of all groups have in common.
int64_t direct_blocks(const ConvolutionDims& d);
int64_t direct_pixels(const ConvolutionDims& d, int64_t block);

// packed: for each group and each vector of `lanes` outputs [cin / 16][kd][kh][kw / fused][16][fused][lanes] (the last
// cin block only as long as it is, absent outputs 0). fused = 3 where kw = 3, else 1.
inline constexpr int64_t direct_fused(const ConvolutionDims& d) { return d.kw == 3 ? 3 : 1; }
template <int lanes>
int64_t direct_packed_size(const ConvolutionDims& d);
template <int lanes>
int64_t direct_pack_units(const ConvolutionDims& d);
template <int lanes>
void direct_pack(const ConvolutionDims& d, int64_t first, int64_t last, const ConvolutionWeights<float>& w,
                 float* packed);

using ConvolutionRun = void(const ConvolutionDims&, int64_t first, int64_t last, const float* x, const float* packed,
                            const Fusing<float>& fusing, float* y, float* scratch);
// 1x1 convolutions read x where it is, kPointwisePixels at a time, a multiple of all register tiles; a prologue is done
// to a copy of those. A unit is so many pixels of an image, and so is a block of moments.
inline constexpr int64_t kPointwisePixels = 24;
int64_t pointwise_block(const ConvolutionDims& d);
bool pointwise_accepts(const ConvolutionDims& d);
int64_t pointwise_units(const ConvolutionDims& d);
int64_t pointwise_scratch_size(const ConvolutionDims& d);
int64_t pointwise_blocks(const ConvolutionDims& d);
int64_t pointwise_pixels(const ConvolutionDims& d, int64_t block);
ConvolutionRun convolution_pointwise_avx512, convolution_pointwise_avx2, convolution_pointwise_generic;
ConvolutionRun convolution_direct_avx512, convolution_direct_avx2, convolution_direct_generic;

}  // namespace lgms::kernels
