#include "kernels/convolution/forward/bf16.h"

#include "kernels/convolution/forward/winograd.h"

namespace lgms::kernels {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

Bf16Cut bf16_cut(const ConvolutionDims& dims) {
  Bf16Cut c{dims, 1, 1, 1, 1, 1, 1, 0, dims.cin / dims.groups, 0};
  ConvolutionDims& d = c.d;
  if (d.taps() == 1) {
    d.w *= d.d * d.h;
    d.d = d.h = 1;
    // Pixels of a few registers' blocks; units enough for some threads in small images.
    c.tw = std::clamp<int64_t>(d.w / 16 / kBf16Pixels, 1, 12) * kBf16Pixels;
  } else {
    c.tw = ceil_div(d.w, ceil_div(d.w, 128));
    c.th = std::clamp<int64_t>(d.h / 4, 1, d.kd == 1 ? 16 : 8);
    // A strip of half a megabyte is a part of L2.
    const int64_t row = (c.tw + d.kw - 1) * c.cin, most = 256 * 1024;
    c.th = std::clamp<int64_t>(most / (row * d.kd) - d.kh + 1, 1, c.th);
    if (d.kd > 1)
      c.planes =
          std::clamp<int64_t>(most / (row * (c.th + d.kh - 1)) - d.kd + 1, 1, std::clamp<int64_t>(d.d / 3, 1, 8));
  }
  c.slabs = ceil_div(d.d, c.planes);
  c.rows = ceil_div(d.h, c.th);
  c.columns = ceil_div(d.w, c.tw);
  c.line = c.tw + d.kw - 1;
  c.pieces = ceil_div(d.kw * c.cin, kBf16Depth);
  return c;
}

bool bf16_tiles_accepts(const ConvolutionDims& d) { return d.cin > 0; }
bool bf16_pairs_accepts(const ConvolutionDims& d) { return d.cin > 0 && !winograd_accepts(d); }
int64_t bf16_units(const ConvolutionDims& d) { return bf16_cut(d).units(); }
// The strip, and pixels of a convolution of one tap before they are rounded.
int64_t bf16_scratch_size(const ConvolutionDims& d) {
  const Bf16Cut c = bf16_cut(d);
  return ceil_div(c.strip() + c.slack(), 2) + kBf16Pixels * c.cin + 16;
}
int64_t bf16_blocks(const ConvolutionDims& d) { return bf16_units(d) / d.groups / d.n; }
int64_t bf16_pixels(const ConvolutionDims& d, int64_t block) {
  const Bf16Cut c = bf16_cut(d);
  const int64_t w0 = block % c.columns * c.tw, h0 = block / c.columns % c.rows * c.th,
                z0 = block / c.columns / c.rows * c.planes;
  return std::min(c.planes, c.d.d - z0) * std::min(c.th, c.d.h - h0) * std::min(c.tw, c.d.w - w0);
}

int64_t bf16_pack_units(const ConvolutionDims& d) { return d.groups * ceil_div(d.cout / d.groups, kBf16Outputs); }
int64_t bf16_packed_size(const ConvolutionDims& d) {
  return bf16_pack_units(d) * bf16_cut(d).steps() * kBf16Depth * kBf16Outputs / 2;
}
void bf16_pack(const ConvolutionDims& d, int64_t first, int64_t last, const ConvolutionWeights<float>& w,
               float* packed) {
  bf16_pack_of(d, first, last, w, packed);
}

}  // namespace lgms::kernels
