#include "kernels/convolution/forward/direct.h"

namespace lgms::kernels {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

bool direct_accepts(const ConvolutionDims& d) { return d.taps() > 1 && d.cin > 0; }

DirectCut direct_cut(const ConvolutionDims& d) {
  DirectCut c{d, 1, 1, 1, 1, 1, ceil_div(d.cin / d.groups, kStripChannels)};
  const int64_t pixel = c.blocks * kStripChannels;
  c.tw = ceil_div(d.w, ceil_div(d.w, 128));
  const int64_t rows = 65536 / (pixel * d.kd * (c.tw + d.kw - 1)) - d.kh + 1;  // the strip stays in L2
  c.th = std::clamp<int64_t>(rows, 1, std::clamp<int64_t>(d.h / 4, 1, 16));
  c.rows = ceil_div(d.h, c.th);
  c.columns = ceil_div(d.w, c.tw);
  c.line = c.tw + d.kw - 1 + kStripSlack;
  return c;
}
int64_t direct_units(const ConvolutionDims& d) { return direct_cut(d).units(); }
int64_t direct_scratch_size(const ConvolutionDims& d) { return direct_cut(d).strip_size(); }
int64_t direct_blocks(const ConvolutionDims& d) { return direct_units(d) / d.groups / d.n; }
int64_t direct_pixels(const ConvolutionDims& d, int64_t block) {
  const DirectCut c = direct_cut(d);
  const int64_t w0 = block % c.columns * c.tw, h0 = block / c.columns % c.rows * c.th;
  return std::min(c.th, d.h - h0) * std::min(c.tw, d.w - w0);
}

template <int lanes>
int64_t direct_pack_units(const ConvolutionDims& d) {
  return d.groups * ceil_div(d.cout / d.groups, lanes);
}

template <int lanes>
int64_t direct_packed_size(const ConvolutionDims& d) {
  return direct_pack_units<lanes>(d) * d.taps() * (d.cin / d.groups) * lanes;
}

template <int lanes>
void direct_pack(const ConvolutionDims& d, int64_t first, int64_t last, const ConvolutionWeights<float>& w,
                 float* packed) {
  const int64_t cin = d.cin / d.groups, cout = d.cout / d.groups, vectors = ceil_div(cout, lanes),
                fused = direct_fused(d);
  packed += first * d.taps() * cin * lanes;
  for (int64_t u = first; u < last; ++u) {
    const int64_t g = u / vectors, o0 = u % vectors * lanes, live = std::min<int64_t>(lanes, cout - o0);
    for (int64_t i0 = 0; i0 < cin; i0 += kStripChannels) {
      const int64_t channels = std::min(cin - i0, kStripChannels);
      for (int64_t t = 0; t < d.taps(); t += fused, packed += channels * fused * lanes)
        for (int64_t l = 0; l < lanes; ++l) {
          if (l >= live) {
            for (int64_t k = 0; k < channels * fused; ++k) packed[k * lanes + l] = 0;
            continue;
          }
          const float* const from = w.data + g * w.group + (o0 + l) * w.out + i0 * w.in + t * w.tap;
          for (int64_t i = 0; i < channels; ++i)
            for (int64_t k = 0; k < fused; ++k) packed[(i * fused + k) * lanes + l] = from[i * w.in + k * w.tap];
        }
    }
  }
}

bool pointwise_accepts(const ConvolutionDims& d) { return d.taps() == 1; }
int64_t pointwise_block(const ConvolutionDims& d) {
  const int64_t most = 480 / kPointwisePixels;
  return std::clamp<int64_t>(d.d * d.h * d.w / 64 / kPointwisePixels, 1, most) * kPointwisePixels;
}
int64_t pointwise_units(const ConvolutionDims& d) { return d.n * pointwise_blocks(d); }
int64_t pointwise_scratch_size(const ConvolutionDims& d) { return kPointwisePixels * d.cin; }
int64_t pointwise_blocks(const ConvolutionDims& d) { return ceil_div(d.d * d.h * d.w, pointwise_block(d)); }
int64_t pointwise_pixels(const ConvolutionDims& d, int64_t block) {
  return std::min(pointwise_block(d), d.d * d.h * d.w - block * pointwise_block(d));
}

#define LGMS_INSTANTIATE(lanes)                                       \
  template int64_t direct_packed_size<lanes>(const ConvolutionDims&); \
  template int64_t direct_pack_units<lanes>(const ConvolutionDims&);  \
  template void direct_pack<lanes>(const ConvolutionDims&, int64_t, int64_t, const ConvolutionWeights<float>&, float*)
LGMS_INSTANTIATE(4);
LGMS_INSTANTIATE(8);
LGMS_INSTANTIATE(16);

}  // namespace lgms::kernels
