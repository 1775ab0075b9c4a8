#pragma once
// What an Epilogue does behind the bias, over the Vec of the file that includes this: on pixels that a row has just
// stored, while they are in L1. Registers of a row's loops stay its own; what a norm, an activation or a sum of its own
// would do, bit by bit.
#include "kernels/activation/functions.h"
#include "kernels/simd/lanes.h"

namespace {

using StridedEpilogue = lgms::kernels::Epilogue<lgms::kernels::Strided<float>>;

// y: `pixels` pixels of one vector of channels (how: of how many) from `channel` on, ldy apart. pixel: the first one's
// place in the tensor, for the residual. V pixels at a time; how many were.
template <int V, class How>
LGMS_INLINE long finish_some(How how, const StridedEpilogue& e, long channel, long pixel, long pixels, float* y,
                             long ldy) {
  Vec::T mean = Vec::zero(), scale = mean, shift = mean;
  if (e.norm.data) {
    mean = how.load(e.norm.data + channel);
    scale = how.load(e.norm.data + e.norm.ld + channel);
    shift = how.load(e.norm.data + 2 * e.norm.ld + channel);
  }
  long p = 0;
  for (; p + V <= pixels; p += V, y += V * ldy) {
    Vec::T v[V];
    each<V>([&](int i) { v[i] = how.load(y + i * ldy); });
    activate(e.before, v);
    if (e.norm.data) each<V>([&](int i) { v[i] = Vec::fma(scale, Vec::sub(v[i], mean), shift); });
    activate(e.after, v);
    if (e.residual.data) {
      const float* const r = e.residual.data + (pixel + p) * e.residual.ld + channel;
      each<V>([&](int i) { v[i] = Vec::add(v[i], how.load(r + i * e.residual.ld)); });
    }
    each<V>([&](int i) { how.store(y + i * ldy, v[i]); });
  }
  return p;
}
template <class How>
LGMS_INLINE void finish_pixels(How how, const StridedEpilogue& e, long channel, long pixel, long pixels, float* y,
                               long ldy) {
  const long done = finish_some<4>(how, e, channel, pixel, pixels, y, ldy);
  finish_some<1>(how, e, channel, pixel + done, pixels - done, y + done * ldy, ldy);
}

// A rectangle of pixels of y: columns ldy apart, rows row_stride apart.
struct Pixels {
  float* y;
  long rows, columns, ldy, row_stride;
};

// partial: rows of c channels, of which this vector's are added to: u of the first pixel; sum of u - that; sum of
// (u - that)^2. begins: these are a block's first pixels.
template <class How>
[[gnu::noinline]] void add_moments(How how, const Pixels& of, bool begins, float* partial, long c) {
  const Vec::T pivot = how.load(begins ? of.y : partial);
  Vec::T sum = begins ? Vec::zero() : how.load(partial + c), squares = begins ? Vec::zero() : how.load(partial + 2 * c);
  for (long r = 0; r < of.rows; ++r) {
    const float* y = of.y + r * of.row_stride;
    for (long p = 0; p < of.columns; ++p, y += of.ldy) {
      const Vec::T u = Vec::sub(how.load(y), pivot);
      sum = Vec::add(sum, u);
      squares = Vec::fma(u, u, squares);
    }
  }
  how.store(partial, pivot);
  how.store(partial + c, sum);
  how.store(partial + 2 * c, squares);
}

// Dense pixels of n channels, a divisor of the lanes: lanes / n pixels are one vector.
LGMS_INLINE void finish_joined(const StridedEpilogue& e, long channel, long n, long pixel, long pixels, float* y) {
  constexpr long lanes = Vec::lanes;
  alignas(64) float tables[3][lanes];
  StridedEpilogue joined = e;
  if (e.norm.data) {
    for (long t = 0; t < 3; ++t)
      for (long i = 0; i < lanes; ++i) tables[t][i] = e.norm.data[t * e.norm.ld + channel + i % n];
    joined.norm = {tables[0], lanes};
  }
  if (e.residual.data) joined.residual = {e.residual.data + pixel * n, lanes};
  const long all = pixels * n, vectors = all / lanes;
  finish_pixels(All{}, joined, 0, 0, vectors, y, lanes);
  if (all % lanes) finish_pixels(First{all % lanes}, joined, 0, vectors, 1, y + vectors * lanes, lanes);
}

[[gnu::noinline]] LGMS_FLATTEN void finish(const StridedEpilogue& e, long channel, long n, long pixel, long pixels,
                                           float* y, long ldy) {
  if (n >= Vec::lanes)
    finish_pixels(All{}, e, channel, pixel, pixels, y, ldy);
  else if (n == ldy && Vec::lanes % n == 0 && (!e.residual.data || e.residual.ld == n))
    finish_joined(e, channel, n, pixel, pixels, y);
  else
    finish_pixels(First{n}, e, channel, pixel, pixels, y, ldy);
}

// What a row does to the pixels that it has stored, of c channels in rows of w.
class Finisher {
 public:
  Finisher(const lgms::kernels::Fusing<float>& fusing, long c, long w)
      : epilogue_(fusing.epilogue),
        moments_(fusing.moments),
        c_(c),
        w_(w),
        finishes_(lgms::kernels::finishes(fusing.epilogue)) {}

  // One vector of n channels, from `channel` on. begins: the first pixels of this vector in the block; pixel: the place
  // of the first one in the tensor.
  LGMS_INLINE void operator()(long block, bool begins, long channel, long n, long pixel, const Pixels& of) const {
    for (long r = 0; finishes_ && r < of.rows; ++r)
      finish(epilogue_, channel, n, pixel + r * w_, of.columns, of.y + r * of.row_stride, of.ldy);
    if (!moments_) return;
    float* const partial = moments_ + block * 3 * c_ + channel;
    if (n >= Vec::lanes)
      add_moments(All{}, of, begins, partial, c_);
    else
      add_moments(First{n}, of, begins, partial, c_);
  }

 private:
  const StridedEpilogue& epilogue_;
  float* moments_;
  long c_, w_;
  bool finishes_;
};

}  // namespace
