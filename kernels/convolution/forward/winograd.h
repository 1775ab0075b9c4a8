#pragma once
// Convolution 3x3 by Winograd's F(4x4, 3x3): 36 products per tile of 4x4 outputs instead of 144; 3x3x3 is the sum of
// three such planes. Source: Lavin & Gray 2016, arXiv:1509.09308; points 0, +-5/8, +-3/2, infinity after Barabasz et
// al. 2020, arXiv:1803.10986: relative L2 error 1.0e-6 at 128 channels (0, +-1, +-2, infinity: 2.2e-6; direct: 0.6e-6).
//   y = A^T [ sum over i of (G w G^T) * (B^T x B) ] A
#include "kernels/convolution/convolution.h"

namespace lgms::kernels {

// Most slots (tiles of a unit's planes) that a register tile takes, so that the last one of a unit may read V, and
// write M, that far beyond the last slot: what it makes there is never read.
inline constexpr int64_t kSlotSlack = 24;

// A unit: up to `tiles` tiles of a plane in `planes` neighbouring planes, one part of the output vectors of one group.
// Where kd = 1 all planes of all images count as one. From dims only.
struct WinogradCut {
  ConvolutionDims d;
  int64_t down, across;      // tiles of an image plane
  int64_t tiles, planes;     // of a full unit
  int64_t channels;          // inputs that are transformed at a time
  int64_t strips, slabs;     // units along the tiles and along D
  int64_t images;            // n, or 1 where kd = 1
  int64_t parts;             // units along the outputs
  int64_t v_plane, m_plane;  // floats between the 36 planes of transformed input (V) and of products (M)
  int64_t m_pair;            // floats between the products of two pairs of output vectors; 0: one pair at a time
  int64_t total;             // units
};
WinogradCut winograd_cut(const ConvolutionDims& d);
bool winograd_accepts(const ConvolutionDims& d);
int64_t winograd_units(const ConvolutionDims& d);
// A block of moments is a unit of 3x3x3; units of planes know no images.
int64_t winograd_blocks(const ConvolutionDims& d);
int64_t winograd_pixels(const ConvolutionDims& d, int64_t block);
template <int lanes>
int64_t winograd_scratch_size(const ConvolutionDims& d);

// packed: for each group and pair of output vectors (the last may be single) [36][kd][cin/groups][pair][lanes],
// one line between the 36 planes.
template <int lanes>
int64_t winograd_packed_size(const ConvolutionDims& d);
template <int lanes>
int64_t winograd_pack_units(const ConvolutionDims& d);

using ConvolutionRun = void(const ConvolutionDims&, int64_t first, int64_t last, const float* x, const float* packed,
                            const Fusing<float>& fusing, float* y, float* scratch);
using ConvolutionPack = void(const ConvolutionDims&, int64_t first, int64_t last, const ConvolutionWeights<float>&,
                             float* packed);
ConvolutionRun convolution_winograd_avx512, convolution_winograd_avx2;
ConvolutionPack winograd_pack_avx512, winograd_pack_avx2;

}  // namespace lgms::kernels
