#pragma once
// What an Epilogue does behind the bias, over the Vec of the file that includes this: on pixels that a row has just
// stored, while they are in L1. Registers of a row's loops stay its own; what a norm, an activation or a sum of its own
// would do, bit by bit.
#include "kernels/activation/functions.h"

namespace {

using StridedEpilogue = lgms::kernels::Epilogue<lgms::kernels::Strided<float>>;

// y: `pixels` pixels of one vector of n channels from `channel` on, ldy apart. pixel: the first one's place in the
// tensor, for the residual. V pixels at a time.
template <int V>
LGMS_INLINE long finish_pixels(const StridedEpilogue& e, long channel, long n, long pixel, long pixels, float* y,
                               long ldy) {
  const bool whole = n >= Vec::lanes;
  const auto load = [&](const float* p) { return whole ? Vec::load(p) : Vec::load(p, n); };
  Vec::T mean = Vec::zero(), scale = mean, shift = mean;
  if (e.norm.data) {
    mean = load(e.norm.data + channel);
    scale = load(e.norm.data + e.norm.ld + channel);
    shift = load(e.norm.data + 2 * e.norm.ld + channel);
  }
  long p = 0;
  for (; p + V <= pixels; p += V, y += V * ldy) {
    Vec::T v[V];
    each<V>([&](int i) { v[i] = load(y + i * ldy); });
    activate(e.before, v);
    if (e.norm.data) each<V>([&](int i) { v[i] = Vec::fma(scale, Vec::sub(v[i], mean), shift); });
    activate(e.after, v);
    if (e.residual.data) {
      const float* const r = e.residual.data + (pixel + p) * e.residual.ld + channel;
      each<V>([&](int i) { v[i] = Vec::add(v[i], load(r + i * e.residual.ld)); });
    }
    each<V>([&](int i) { whole ? Vec::store(y + i * ldy, v[i]) : Vec::store(y + i * ldy, v[i], n); });
  }
  return p;
}

LGMS_FLATTEN [[gnu::noinline]] void finish(const StridedEpilogue& e, long channel, long n, long pixel, long pixels,
                                           float* y, long ldy) {
  const long done = finish_pixels<4>(e, channel, n, pixel, pixels, y, ldy);
  finish_pixels<1>(e, channel, n, pixel + done, pixels - done, y + done * ldy, ldy);
}

}  // namespace
