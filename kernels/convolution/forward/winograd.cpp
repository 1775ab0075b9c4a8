#include "kernels/convolution/forward/winograd.h"

namespace lgms::kernels {
namespace {

constexpr int64_t kLine = 16;  // floats of a cache line

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

WinogradCut winograd_cut(const ConvolutionDims& d) {
  WinogradCut c{};
  c.d = d;
  c.down = ceil_div(d.h, 4);
  c.across = ceil_div(d.w, 4);
  c.images = d.kd == 1 ? 1 : d.n;
  const int64_t plane = c.down * c.across * (d.kd == 1 ? d.n * d.d : 1), depth = d.kd == 1 ? 1 : d.d;
  const int64_t channels = ceil_div(d.cin / d.groups, 16) * 16;
  // V is about 0.4 MB, a part of a small L2. Many inputs come in several turns, so that the weights, which are then too
  // large for L2, are still read for 64 tiles at a time.
  c.channels = channels <= 128 ? channels : 48;
  // Few tiles of many planes, so that inputs are transformed 1.2 to 1.3 times and not kd times: 96^3, 32 inputs in 2
  // groups, AVX-512: 253 -> 337 GFLOP/s; 48^3, 64 -> 32: 304 -> 522.
  const int64_t tiles = d.kd == 1 ? plane : channels <= 32 ? 8 : 4;
  const int64_t most = d.kd == 1 ? std::min<int64_t>(3072 / c.channels, 96) : std::max<int64_t>(1536 / channels, 48);
  c.strips = ceil_div(plane, std::min(tiles, most));
  c.tiles = ceil_div(ceil_div(plane, c.strips), 4) * 4;
  c.strips = ceil_div(plane, c.tiles);
  c.slabs = ceil_div(depth, std::max<int64_t>(1, most / c.tiles));
  c.planes = ceil_div(depth, c.slabs);
  c.slabs = ceil_div(depth, c.planes);
  const int64_t spatial = d.groups * c.images * c.slabs * c.strips;
  c.parts = std::clamp<int64_t>(8 / spatial, 1, ceil_div(d.cout / d.groups, 32));
  c.total = spatial * c.parts;
  // A line more, so that the planes do not fall on the same cache sets.
  c.v_plane = c.channels * ((c.planes + d.kd - 1) * c.tiles + kSlotSlack) + kLine;
  c.m_plane = 32 * (c.planes * c.tiles + kSlotSlack) + kLine;
  c.m_pair = c.channels < channels ? 36 * c.m_plane : 0;
  return c;
}

bool winograd_accepts(const ConvolutionDims& d) {
  return d.kh == 3 && d.kw == 3 && (d.kd == 1 || d.kd == 3) && d.cin / d.groups >= 16 && d.cout / d.groups >= 16 &&
         d.h >= 3 && d.w >= 3;
}
int64_t winograd_units(const ConvolutionDims& d) { return winograd_cut(d).total; }
int64_t winograd_blocks(const ConvolutionDims& d) {
  const WinogradCut c = winograd_cut(d);
  return d.kd == 1 ? 0 : c.slabs * c.strips;
}
int64_t winograd_pixels(const ConvolutionDims& d, int64_t block) {
  const WinogradCut c = winograd_cut(d);
  const int64_t first = block % c.strips * c.tiles, z = block / c.strips * c.planes;
  int64_t area = 0;
  for (int64_t t = first; t < std::min(first + c.tiles, c.down * c.across); ++t)
    area += std::min<int64_t>(4, d.h - t / c.across * 4) * std::min<int64_t>(4, d.w - t % c.across * 4);
  return area * std::min(c.planes, d.d - z);
}
template <int lanes>
int64_t winograd_scratch_size(const ConvolutionDims& d) {
  const WinogradCut c = winograd_cut(d);
  const int64_t pairs = c.m_pair == 0 ? 1 : ceil_div(ceil_div(d.cout / d.groups, 2 * lanes), c.parts);
  return 36 * (c.v_plane + pairs * c.m_plane);
}

template <int lanes>
int64_t winograd_pack_units(const ConvolutionDims& d) {
  return d.groups * ceil_div(d.cout / d.groups, lanes);
}
template <int lanes>
int64_t winograd_packed_size(const ConvolutionDims& d) {
  return winograd_pack_units<lanes>(d) * 36 * (d.kd * (d.cin / d.groups) * lanes + kLine);
}
template int64_t winograd_scratch_size<4>(const ConvolutionDims&);
template int64_t winograd_scratch_size<8>(const ConvolutionDims&);
template int64_t winograd_scratch_size<16>(const ConvolutionDims&);
template int64_t winograd_pack_units<4>(const ConvolutionDims&);
template int64_t winograd_pack_units<8>(const ConvolutionDims&);
template int64_t winograd_pack_units<16>(const ConvolutionDims&);
template int64_t winograd_packed_size<4>(const ConvolutionDims&);
template int64_t winograd_packed_size<8>(const ConvolutionDims&);
template int64_t winograd_packed_size<16>(const ConvolutionDims&);

}  // namespace lgms::kernels
