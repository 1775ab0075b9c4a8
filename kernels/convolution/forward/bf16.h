#pragma once
// The convolution in bfloat16: what its rows share. The input of a unit is rounded into a strip in scratch
// [planes + kd - 1][th + kh - 1][line][cin of a group], zeros around the image. There a row of kw taps is one run of
// kw * cin numbers, whatever the channels are, and neighbouring pixels' runs overlap: so every convolution, 1x1 too, is
// a sum over kd * kh matrix products of pixels x run by run x outputs, whose left operand lies there already.
#include <bit>
#include <cstring>

#include "kernels/convolution/convolution.h"

namespace lgms::kernels {

inline constexpr int64_t kBf16Outputs = 16;  // of a vector, or a tile
inline constexpr int64_t kBf16Depth = 32;    // numbers of a run that a tile takes
inline constexpr int64_t kBf16Pixels = 32;   // most that a block of sums has: runs may be read so many pixels too far

// The cut of an output into units: one group, `planes` planes, th rows, tw columns. From dims only.
struct Bf16Cut {
  ConvolutionDims d;             // of a convolution of one tap: an image is one row
  int64_t planes, th, tw;        // extents of a full unit
  int64_t slabs, rows, columns;  // units along D, H and W
  int64_t line;                  // pixels from one strip row to the next
  int64_t cin;                   // of a group
  int64_t pieces;                // of a run, of kBf16Depth numbers

  int64_t steps() const { return d.kd * d.kh * pieces; }
  int64_t units() const { return d.groups * d.n * slabs * rows * columns; }
  int64_t strip_plane() const { return (th + d.kh - 1) * line * cin; }
  int64_t strip() const { return (planes + d.kd - 1) * strip_plane(); }
  int64_t slack() const { return kBf16Pixels * cin + kBf16Depth; }  // behind it, zeros
};
Bf16Cut bf16_cut(const ConvolutionDims& d);

// As the instructions round: to nearest even, denormal numbers to 0.
inline uint16_t bf16_of(float v) {
  auto bits = std::bit_cast<uint32_t>(v);
  if ((bits & 0x7f800000) == 0) bits &= 0x80000000;
  if (v != v) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// packed, as bfloat16: for each group and each vector of outputs [kd][kh][pieces][16 pairs][16 outputs][2], 0 where
// there is none.
int64_t bf16_packed_size(const ConvolutionDims& d);  // in floats
int64_t bf16_pack_units(const ConvolutionDims& d);
void bf16_pack(const ConvolutionDims& d, int64_t first, int64_t last, const ConvolutionWeights<float>& w,
               float* packed);
// The same of weights w(g, o, i, t).
template <class Weights>
void bf16_pack_of(const ConvolutionDims& d, int64_t first, int64_t last, const Weights& w, float* packed) {
  const Bf16Cut c = bf16_cut(d);
  const int64_t cout = d.cout / d.groups, vectors = bf16_pack_units(d) / d.groups, run = d.kw * c.cin,
                floats = c.steps() * kBf16Depth * kBf16Outputs / 2;
  for (int64_t u = first; u < last; ++u) {
    char* to = reinterpret_cast<char*>(packed + u * floats);
    for (int64_t t = 0; t < d.kd * d.kh; ++t)
      for (int64_t pair = 0; pair < c.pieces * kBf16Depth / 2; ++pair)
        for (int64_t l = 0; l < kBf16Outputs; ++l)
          for (int64_t e = 2 * pair; e < 2 * pair + 2; ++e, to += sizeof(uint16_t)) {
            const int64_t o = u % vectors * kBf16Outputs + l;
            const float v = e < run && o < cout ? w(u / vectors, o, e % c.cin, t * d.kw + e / c.cin) : 0.f;
            const uint16_t narrow = bf16_of(v);
            std::memcpy(to, &narrow, sizeof narrow);
          }
  }
}

bool bf16_tiles_accepts(const ConvolutionDims& d);
// Where Winograd in float32 is not at hand: of pairs no processor forms more than twice as many as of floats, and
// Winograd needs a quarter of them.
bool bf16_pairs_accepts(const ConvolutionDims& d);
int64_t bf16_units(const ConvolutionDims& d);
int64_t bf16_scratch_size(const ConvolutionDims& d);
// A block of moments is what the units of all groups have in common.
int64_t bf16_blocks(const ConvolutionDims& d);
int64_t bf16_pixels(const ConvolutionDims& d, int64_t block);

using Bf16Run = void(const ConvolutionDims& d, int64_t first, int64_t last, const float* x, const float* packed,
                     const Fusing<float>& fusing, float* y, float* scratch);
Bf16Run convolution_bf16_pairs_avx512, convolution_bf16_tiles_avx512;

constexpr ConvolutionImpl<float> bf16_row(const char* name, Precision precision,
                                          bool (*accepts)(const ConvolutionDims&), Bf16Run* run) {
  return {
      name,       Device::cpu,       Isa::avx512, Rounding::bf16, accepts, bf16_packed_size, bf16_pack_units, bf16_pack,
      bf16_units, bf16_scratch_size, bf16_blocks, bf16_pixels,    run,     Provider::own,    precision};
}

}  // namespace lgms::kernels
