// From the reference (8 or 4 taps per element, 64 or 16 in backward): one axis after the other. A line of W is first
// blended along D and H into scratch, then along W; the loops over channels are what the compiler vectorises.
#include "kernels/upsample/reference.h"

namespace lgms::kernels {
namespace {

// t[w, c] (+)= a * x[w, c]
void blend(int64_t w, int64_t c, float a, const float* x, int64_t ldx, bool add, float* t) {
  for (int64_t i = 0; i < w; ++i, x += ldx, t += c) {
    if (add)
      for (int64_t k = 0; k < c; ++k) t[k] += a * x[k];
    else
      for (int64_t k = 0; k < c; ++k) t[k] = a * x[k];
  }
}

}  // namespace

void upsample_forward_generic(const UpsampleDims& d, int64_t first, int64_t last, const float* x, float* y, float* t) {
  for (int64_t unit = first; unit < last; ++unit) {
    const int64_t oh = unit % (2 * d.h), od = unit / (2 * d.h) % (d.d * d.scale_d),
                  n = unit / (2 * d.h * d.d * d.scale_d);
    const UpsampleTap td(od, d.d, d.scale_d), th(oh, d.h, 2);
    for (int i = 0; i < d.scale_d; ++i)
      for (int j = 0; j < 2; ++j)
        blend(d.w, d.c, static_cast<float>(td.weight[i] * th.weight[j]),
              x + ((n * d.d + td.at[i]) * d.h + th.at[j]) * d.w * d.ldx, d.ldx, i + j > 0, t);
    for (int64_t w = 0; w < d.w; ++w) {
      const float *here = t + w * d.c, *left = w > 0 ? here - d.c : here, *right = w + 1 < d.w ? here + d.c : here;
      float *even = y + (unit * 2 * d.w + 2 * w) * d.ldy, *odd = even + d.ldy;
      for (int64_t c = 0; c < d.c; ++c) even[c] = 0.75f * here[c] + 0.25f * left[c];
      for (int64_t c = 0; c < d.c; ++c) odd[c] = 0.75f * here[c] + 0.25f * right[c];
    }
  }
}

void upsample_backward_generic(const UpsampleDims& d, int64_t first, int64_t last, const float* dy, float* dx,
                               float* t) {
  for (int64_t unit = first; unit < last; ++unit) {
    const int64_t h = unit % d.h, depth = unit / d.h % d.d, n = unit / (d.h * d.d);
    const UpsampleTransposedTap td(depth, d.d, d.scale_d), th(h, d.h, 2);
    for (int i = 0; i < td.count; ++i)
      for (int j = 0; j < th.count; ++j)
        blend(2 * d.w, d.c, static_cast<float>(td.weight[i] * th.weight[j]),
              dy + ((n * d.d * d.scale_d + td.at[i]) * 2 * d.h + th.at[j]) * 2 * d.w * d.ldy, d.ldy, i + j > 0, t);
    for (int64_t w = 0; w < d.w; ++w) {
      const float *even = t + 2 * w * d.c, *odd = even + d.c;
      const float *left = w > 0 ? even - d.c : even, *right = w + 1 < d.w ? odd + d.c : odd;
      float* out = dx + (unit * d.w + w) * d.ldx;
      for (int64_t c = 0; c < d.c; ++c) out[c] = 0.25f * (left[c] + right[c]) + 0.75f * (even[c] + odd[c]);
    }
  }
}

}  // namespace lgms::kernels
