#pragma once
#include "kernels/activation/reference.h"
#include "kernels/up_convolution/up_convolution.h"

namespace lgms::kernels {

// What u = up(x) is at o along one axis of n pixels of x: weights of two pixels, none outside.
struct UpsampledPixel {
  int64_t pixel[2];
  double weight[2];
  UpsampledPixel(int64_t o, int64_t n, bool doubled) : pixel{o, o}, weight{1, 0} {
    const int64_t size = doubled ? 2 * n : n;
    if (o < 0 || o >= size)
      pixel[0] = pixel[1] = 0, weight[0] = 0;
    else if (doubled) {
      pixel[0] = o / 2;
      pixel[1] = std::clamp<int64_t>(o % 2 == 0 ? o / 2 - 1 : o / 2 + 1, 0, n - 1);
      weight[0] = 0.75;
      weight[1] = 0.25;
    }
  }
};

// By the definition. packed: [taps * cout][cin], as of one lane.
template <class T>
void up_convolution_reference(const UpConvolutionDims& d, int64_t first, int64_t last, const T* x, const T* packed,
                              const Fusing<T>& fusing, T* y, T*) {
  const int64_t depth = d.volume ? 2 * d.d : d.d, up = d.volume ? 2 : 1, reach = d.volume ? 1 : 0;
  for (int64_t unit = first; unit < last; ++unit) {
    const UpConvolutionUnit u = up_convolution_unit(d, unit);
    bool begins = true;
    for (int64_t oz = up * u.z0; oz < up * u.z1; ++oz)
      for (int64_t oy = 2 * u.y0; oy < 2 * u.y1; ++oy)
        for (int64_t ox = 0; ox < 2 * d.w; ++ox) {
          const int64_t pixel = ((u.n * depth + oz) * 2 * d.h + oy) * 2 * d.w + ox;
          T* const out = y + pixel * d.ldy;
          for (int64_t o = 0; o < d.cout; ++o) out[o] = fusing.epilogue.bias.data ? fusing.epilogue.bias.data[o] : T{0};
          for (int64_t kz = -reach; kz <= reach; ++kz)
            for (int64_t ky = -1; ky <= 1; ++ky)
              for (int64_t kx = -1; kx <= 1; ++kx) {
                const int64_t t = ((d.volume ? (kz + 1) * 3 : 0) + ky + 1) * 3 + kx + 1;
                const UpsampledPixel z(oz + kz, d.d, d.volume), v(oy + ky, d.h, true), h(ox + kx, d.w, true);
                for (int corner = 0; corner < 8; ++corner) {
                  const int a = corner & 1, b = corner >> 1 & 1, c = corner >> 2;
                  const T weight = static_cast<T>(z.weight[c] * v.weight[b] * h.weight[a]);
                  if (weight == 0) continue;
                  const T* const from = x + (((u.n * d.d + z.pixel[c]) * d.h + v.pixel[b]) * d.w + h.pixel[a]) * d.ldx;
                  for (int64_t o = 0; o < d.cout; ++o)
                    for (int64_t i = 0; i < d.cin; ++i)
                      out[o] += weight * packed[(t * d.cout + o) * d.cin + i] * from[i];
                }
              }
          finish(fusing.epilogue, d.cout, pixel, out);
          if (fusing.moments) add_moments(out, d.cout, begins, fusing.moments + unit * 3 * d.cout);
          begins = false;
        }
  }
}

}  // namespace lgms::kernels
