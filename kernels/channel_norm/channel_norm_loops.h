#pragma once
// The four passes over rows, for the Vec of the file that includes this. From the reference (AVX-512 on a Sapphire
// Rapids at 3 GHz, one thread, in cache):
//   vectors of channels, our own exp and erf    12.8 to 0.43 ns per GELU
//   short loops over arrays written out         ReLU forward, 16 channels: 376 to 294 us; AVX2 backward: 3190 to 949
//   GELU from register tables                   0.43 to 0.21 ns per GELU; a whole forward with GELU 71.6 to 0.49
// Sums keep V vectors of channels in registers over all rows of a block; the other passes go row by row, as memory
// does. Few channels come joined with their neighbours' to rows of 64 and more (walk.h).
#include "kernels/activation/functions.h"
#include "kernels/channel_norm/channel_norm.h"

namespace {

using lgms::kernels::ChannelNormDims;
using Coefficients = lgms::kernels::ChannelNormCoefficients<float>;

// V vectors from p on; of a single one the first n lanes.
template <int V>
inline void load(const float* p, long n, Vec::T (&v)[V]) {
  if constexpr (V == 1)
    v[0] = Vec::load(p, n);
  else
    each<V>([&](int i) { v[i] = Vec::load(p + i * Vec::lanes); });
}
template <int V>
inline void store(float* p, long n, const Vec::T (&v)[V]) {
  if constexpr (V == 1)
    Vec::store(p, v[0], n);
  else
    each<V>([&](int i) { Vec::store(p + i * Vec::lanes, v[i]); });
}

// f(channel, lanes) for groups of V vectors, then one by one: f.template operator()<V>(first channel, live lanes).
template <class F>
inline void over_channels(long c, const F& f) {
  long i = 0;
  for (; i + 4 * Vec::lanes <= c; i += 4 * Vec::lanes) f.template operator()<4>(i, Vec::lanes);
  for (; i < c; i += Vec::lanes) f.template operator()<1>(i, c - i < Vec::lanes ? c - i : Vec::lanes);
}

template <int V>
void moments_of(const ChannelNormDims& d, const float* x, long n, float* partial) {
  Vec::T pivot[V], sum[V], squares[V];
  load(x, n, pivot);
  activate(d.before, pivot);
  each<V>([&](int i) { sum[i] = squares[i] = Vec::zero(); });
  for (long r = 0; r < d.rows; ++r, x += d.ldx) {
    Vec::T u[V];
    load(x, n, u);
    activate(d.before, u);
    each<V>([&](int i) {
      u[i] = Vec::sub(u[i], pivot[i]);
      sum[i] = Vec::add(sum[i], u[i]);
      squares[i] = Vec::fma(u[i], u[i], squares[i]);
    });
  }
  store(partial, n, pivot);
  store(partial + d.c, n, sum);
  store(partial + 2 * d.c, n, squares);
}

// u = before(x) - mean, z = scale * u + shift.
template <int V>
inline void normalise(const Coefficients& k, long c, long n, Vec::T (&u)[V], Vec::T (&z)[V]) {
  Vec::T mean[V], scale[V], shift[V];
  load(k.mean + c, n, mean);
  load(k.scale + c, n, scale);
  load(k.shift + c, n, shift);
  each<V>([&](int i) {
    u[i] = Vec::sub(u[i], mean[i]);
    z[i] = Vec::fma(scale[i], u[i], shift[i]);
  });
}

template <int V>
void sums_of(const ChannelNormDims& d, const Coefficients& k, const float* x, const float* dy, long c, long n,
             float* partial) {
  Vec::T sum[V], products[V];
  each<V>([&](int i) { sum[i] = products[i] = Vec::zero(); });
  for (long r = 0; r < d.rows; ++r, x += d.ldx, dy += d.ldr) {
    Vec::T u[V], z[V], g[V];
    load(x + c, n, u);
    load(dy + c, n, g);
    activate(d.before, u);
    normalise(k, c, n, u, z);
    multiply_derivative(d.after, z, g);
    each<V>([&](int i) {
      sum[i] = Vec::add(sum[i], g[i]);
      products[i] = Vec::fma(g[i], u[i], products[i]);
    });
  }
  store(partial + c, n, sum);
  store(partial + d.c + c, n, products);
}

template <int V>
inline void apply_to(const ChannelNormDims& d, const Coefficients& k, const float* x, const float* residual, float* y,
                     long c, long n) {
  Vec::T u[V], z[V];
  load(x + c, n, u);
  activate(d.before, u);
  normalise(k, c, n, u, z);
  activate(d.after, z);
  if (residual) {
    load(residual + c, n, u);
    each<V>([&](int i) { z[i] = Vec::add(z[i], u[i]); });
  }
  store(y + c, n, z);
}

template <int V>
inline void backward_to(const ChannelNormDims& d, const Coefficients& k, const float* x, const float* dy, float* dx,
                        long c, long n) {
  Vec::T u[V], inner[V], z[V], g[V], factor[V], slope[V];
  load(x + c, n, u);
  load(dy + c, n, g);
  differentiate(d.before, u, inner);
  normalise(k, c, n, u, z);
  multiply_derivative(d.after, z, g);
  load(k.slope + c, n, slope);
  load(k.offset + c, n, factor);
  each<V>([&](int i) { u[i] = Vec::fma(slope[i], u[i], factor[i]); });
  load(k.scale + c, n, factor);
  each<V>([&](int i) { g[i] = Vec::mul(inner[i], Vec::fma(factor[i], g[i], u[i])); });
  store(dx + c, n, g);
}

LGMS_FLATTEN void moments(const ChannelNormDims& d, const float* x, float* partial) {
  over_channels(d.c, [&]<int V>(long c, long n) { moments_of<V>(d, x + c, n, partial + c); });
}
LGMS_FLATTEN void sums(const ChannelNormDims& d, const Coefficients& k, const float* x, const float* dy,
                       float* partial) {
  over_channels(d.c, [&]<int V>(long c, long n) { sums_of<V>(d, k, x, dy, c, n, partial); });
}
LGMS_FLATTEN void apply(const ChannelNormDims& d, const Coefficients& k, const float* x, const float* residual,
                        float* y) {
  for (long r = 0; r < d.rows; ++r, x += d.ldx, y += d.ldy, residual += residual ? d.ldr : 0)
    over_channels(d.c, [&]<int V>(long c, long n) { apply_to<V>(d, k, x, residual, y, c, n); });
}
LGMS_FLATTEN void backward(const ChannelNormDims& d, const Coefficients& k, const float* x, const float* dy,
                           float* dx) {
  for (long r = 0; r < d.rows; ++r, x += d.ldx, dy += d.ldr, dx += d.ldy)
    over_channels(d.c, [&]<int V>(long c, long n) { backward_to<V>(d, k, x, dy, dx, c, n); });
}

}  // namespace

namespace lgms::kernels {

extern const ChannelNormKernels<float> LGMS_ROW(channel_norm);
const ChannelNormKernels<float> LGMS_ROW(channel_norm){moments, apply, sums, backward};

}  // namespace lgms::kernels
