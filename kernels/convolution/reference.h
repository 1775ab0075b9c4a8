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

// A unit is one row of w pixels, and so is a block of moments.
template <class T>
void convolution_reference(const ConvolutionDims& d, int64_t first, int64_t last, const T* x, const T* packed,
                           const Fusing<T>& fusing, T* y, T* scratch) {
  const Epilogue<Strided<T>>& epilogue = fusing.epilogue;
  const int64_t cin = d.cin / d.groups, cout = d.cout / d.groups;
  for (int64_t u = first; u < last; ++u) {
    const int64_t h = u % d.h, z = u / d.h % d.d;
    T* const row = y + u * d.w * d.ldy;
    for (int64_t p = 0; p < d.w; ++p)
      for (int64_t o = 0; o < d.cout; ++o) row[p * d.ldy + o] = epilogue.bias.data ? epilogue.bias.data[o] : T{0};
    for (int64_t t = 0; t < d.taps(); ++t) {
      const int64_t tx = t % d.kw - d.kw / 2, ty = t / d.kw % d.kh - d.kh / 2, tz = t / d.kw / d.kh - d.kd / 2;
      if (h + ty < 0 || h + ty >= d.h || z + tz < 0 || z + tz >= d.d) continue;  // zeros outside the image
      const int64_t start = (u + tz * d.h + ty) * d.w + tx;
      for (int64_t p = tx < 0 ? -tx : 0; p < d.w && p + tx < d.w; ++p) {
        const T* source = x + (start + p) * d.ldx;
        if (finishes(fusing.prologue)) {
          std::copy_n(source, d.cin, scratch);
          Epilogue<Strided<T>> prologue = fusing.prologue;
          if (prologue.norm.data) prologue.norm.data += u / (d.d * d.h) * 3 * d.cin;
          finish(prologue, d.cin, start + p, scratch);
          source = scratch;
        }
        for (int64_t g = 0; g < d.groups; ++g)
          for (int64_t i = 0; i < cin; ++i) {
            const T value = source[g * cin + i];
            const T* const weights = packed + ((g * d.taps() + t) * cin + i) * cout;
            T* __restrict const sums = row + p * d.ldy + g * cout;
            for (int64_t o = 0; o < cout; ++o) sums[o] += value * weights[o];
          }
      }
    }
    for (int64_t p = 0; p < d.w; ++p) {
      finish(epilogue, d.cout, u * d.w + p, row + p * d.ldy);
      if (fusing.moments) add_moments(row + p * d.ldy, d.cout, p == 0, fusing.moments + u * 3 * d.cout);
    }
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
    [](const ConvolutionDims& d) { return d.cin; },
    [](const ConvolutionDims& d) { return d.d * d.h; },
    [](const ConvolutionDims& d, int64_t) { return d.w; },
    convolution_reference<T>};

}  // namespace lgms::kernels
