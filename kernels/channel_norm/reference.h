#pragma once
#include "kernels/activation/reference.h"
#include "kernels/channel_norm/channel_norm.h"

namespace lgms::kernels {

template <class T>
void channel_norm_moments_reference(const ChannelNormDims& d, const T* x, T* partial) {
  for (int64_t c = 0; c < d.c; ++c) {
    const T pivot = activate(d.before, x[c]);
    T sum = 0, squares = 0;
    for (int64_t r = 0; r < d.rows; ++r) {
      const T u = activate(d.before, x[r * d.ldx + c]) - pivot;
      sum += u;
      squares += u * u;
    }
    partial[c] = pivot;
    partial[d.c + c] = sum;
    partial[2 * d.c + c] = squares;
  }
}

template <class T>
void channel_norm_apply_reference(const ChannelNormDims& d, const ChannelNormCoefficients<T>& k, const T* x,
                                  const T* residual, T* y) {
  for (int64_t r = 0; r < d.rows; ++r)
    for (int64_t c = 0; c < d.c; ++c) {
      const T u = activate(d.before, x[r * d.ldx + c]) - k.mean[c];
      y[r * d.ldy + c] = activate(d.after, k.scale[c] * u + k.shift[c]) + (residual ? residual[r * d.ldr + c] : T{0});
    }
}

template <class T>
void channel_norm_sums_reference(const ChannelNormDims& d, const ChannelNormCoefficients<T>& k, const T* x, const T* dy,
                                 T* partial) {
  for (int64_t c = 0; c < d.c; ++c) {
    T sum = 0, products = 0;
    for (int64_t r = 0; r < d.rows; ++r) {
      const T u = activate(d.before, x[r * d.ldx + c]) - k.mean[c];
      const T g = dy[r * d.ldr + c] * activation_derivative(d.after, k.scale[c] * u + k.shift[c]);
      sum += g;
      products += g * u;
    }
    partial[c] = sum;
    partial[d.c + c] = products;
  }
}

template <class T>
void channel_norm_backward_reference(const ChannelNormDims& d, const ChannelNormCoefficients<T>& k, const T* x,
                                     const T* dy, T* dx) {
  for (int64_t r = 0; r < d.rows; ++r)
    for (int64_t c = 0; c < d.c; ++c) {
      const T v = x[r * d.ldx + c], u = activate(d.before, v) - k.mean[c];
      const T g = dy[r * d.ldr + c] * activation_derivative(d.after, k.scale[c] * u + k.shift[c]);
      dx[r * d.ldy + c] = activation_derivative(d.before, v) * (k.scale[c] * g + (k.slope[c] * u + k.offset[c]));
    }
}

template <class T>
inline constexpr ChannelNormKernels<T> channel_norm_reference{
    channel_norm_moments_reference<T>, channel_norm_apply_reference<T>, channel_norm_sums_reference<T>,
    channel_norm_backward_reference<T>};

}  // namespace lgms::kernels
