#pragma once
// The readable convolution. Weights are transposed first, so that the innermost loop runs over neighbouring outputs.
#include "kernels/activation/reference.h"
#include "kernels/convolution/convolution.h"

namespace lgms::kernels {

// packed: [groups, taps, cin/groups, cout/groups]; a unit is one (group, tap).
template <class T>
void convolution_pack_reference(const ConvolutionDims& d, int64_t first, int64_t last, const ConvolutionWeights<T>& w,
                                T* packed) {
  const int64_t cin = d.cin / d.groups, cout = d.cout / d.groups;
  for (int64_t u = first; u < last; ++u)
    for (int64_t i = 0; i < cin; ++i)
      for (int64_t o = 0; o < cout; ++o) packed[(u * cin + i) * cout + o] = w(u / d.taps(), o, i, u % d.taps());
}

// A unit is one row of w pixels.
template <class T>
void convolution_reference(const ConvolutionDims& d, int64_t first, int64_t last, const T* x, const T* packed,
                           const Epilogue<Strided<T>>& epilogue, T* y, T*) {
  const int64_t cin = d.cin / d.groups, cout = d.cout / d.groups;
  for (int64_t u = first; u < last; ++u) {
    const int64_t h = u % d.h, z = u / d.h % d.d;
    T* const row = y + u * d.w * d.ldy;
    for (int64_t p = 0; p < d.w; ++p)
      for (int64_t o = 0; o < d.cout; ++o) row[p * d.ldy + o] = epilogue.bias.data ? epilogue.bias.data[o] : T{0};
    for (int64_t t = 0; t < d.taps(); ++t) {
      const int64_t tx = t % d.kw - d.kw / 2, ty = t / d.kw % d.kh - d.kh / 2, tz = t / d.kw / d.kh - d.kd / 2;
      if (h + ty < 0 || h + ty >= d.h || z + tz < 0 || z + tz >= d.d) continue;  // zeros outside the image
      const T* const source = x + ((u + tz * d.h + ty) * d.w + tx) * d.ldx;
      for (int64_t p = tx < 0 ? -tx : 0; p < d.w && p + tx < d.w; ++p)
        for (int64_t g = 0; g < d.groups; ++g)
          for (int64_t i = 0; i < cin; ++i) {
            const T value = source[p * d.ldx + g * cin + i];
            const T* const weights = packed + ((g * d.taps() + t) * cin + i) * cout;
            T* __restrict const sums = row + p * d.ldy + g * cout;
            for (int64_t o = 0; o < cout; ++o) sums[o] += value * weights[o];
          }
    }
    for (int64_t p = 0; p < d.w; ++p) finish(epilogue, d.cout, u * d.w + p, row + p * d.ldy);
  }
}

template <class T>
inline constexpr ConvolutionImpl<T> convolution_reference_impl{
    "reference",
    Device::cpu,
    Isa::reference,
    Rounding::direct,
    [](const ConvolutionDims&) { return true; },
    [](const ConvolutionDims& d) { return d.cout / d.groups * d.cin * d.taps(); },
    [](const ConvolutionDims& d) { return d.groups * d.taps(); },
    convolution_pack_reference<T>,
    [](const ConvolutionDims& d) { return d.n * d.d * d.h; },
    [](const ConvolutionDims&) { return int64_t{0}; },
    convolution_reference<T>};

}  // namespace lgms::kernels
