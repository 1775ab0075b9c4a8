#pragma once
// What a row of each algorithm consists of, for any number of lanes: an instruction set adds its loops.
#include "kernels/convolution/forward/direct.h"
#include "kernels/convolution/forward/winograd.h"

namespace lgms::kernels {

template <int lanes>
constexpr ConvolutionImpl<float> direct_row(const char* name, Isa isa, ConvolutionRun* run) {
  return {name,
          Device::cpu,
          isa,
          Rounding::direct,
          direct_accepts,
          direct_packed_size<lanes>,
          direct_pack_units<lanes>,
          direct_pack<lanes>,
          direct_units,
          direct_scratch_size,
          direct_blocks,
          direct_pixels,
          run};
}

// With weights packed as the direct row's.
template <int lanes>
constexpr ConvolutionImpl<float> pointwise_row(const char* name, Isa isa, ConvolutionRun* run) {
  ConvolutionImpl<float> row = direct_row<lanes>(name, isa, run);
  row.accepts = pointwise_accepts;
  row.units = pointwise_units;
  row.scratch_size = pointwise_scratch_size;
  row.blocks = pointwise_blocks;
  row.pixels = pointwise_pixels;
  return row;
}

template <int lanes>
constexpr ConvolutionImpl<float> winograd_row(const char* name, Isa isa, ConvolutionPack* pack, ConvolutionRun* run) {
  return {name,
          Device::cpu,
          isa,
          Rounding::transformed,
          winograd_accepts,
          winograd_packed_size<lanes>,
          winograd_pack_units<lanes>,
          pack,
          winograd_units,
          winograd_scratch_size<lanes>,
          winograd_blocks,
          winograd_pixels,
          run};
}

}  // namespace lgms::kernels
