#pragma once
// Over the Vec of the file that includes this: for every row of x the channels are mixed for all taps at once (a 1x1
// convolution), then the taps are put together along x, along y from three such rows, and in volumes along z from three
// such planes, in scratch that stays in the L2 cache.
#include "kernels/activation/finish.h"
#include "kernels/simd/lanes.h"
#include "kernels/up_convolution/up_convolution.h"

namespace {

using UpDims = lgms::kernels::UpConvolutionDims;

// v_k of up_convolution.h at i - 1, i and i + 1, as far as they are needed.
struct Taps {
  const float *v0[2], *v1[3], *v2[2];
};

// `pixels` pixels of c channels, `step` apart in v and ld apart in y: y[2i] (even) and y[2i + 1] (odd), begun with bias
// (or 0: null). no_v0, no_v2: those are outside of the image for the first y and the last.
template <bool no_v0, bool no_v2>
LGMS_INLINE void combine(long pixels, long c, const Taps& t, long step, const float* bias, float* even, float* odd,
                         long ld) {
  const Vec::T near = Vec::set1(0.75f), far = Vec::set1(0.25f);
  for (long p = 0, at = 0; p < pixels; ++p, at += step, even += ld, odd += ld)
    over_lanes(c, [&](long i, auto how) {
      const auto load = [&](const float* v) { return how.load(v + at + i); };
      const Vec::T a = load(t.v0[0]), b = load(t.v0[1]), l = load(t.v1[0]), m = load(t.v1[1]), r = load(t.v1[2]),
                   f = load(t.v2[0]), g = load(t.v2[1]);
      Vec::T e_near = Vec::add(m, f), e_far = Vec::add(l, g), o_near = Vec::add(b, m), o_far = Vec::add(a, r);
      if constexpr (!no_v0) e_near = Vec::add(a, e_near), e_far = Vec::add(b, e_far);
      if constexpr (!no_v2) o_near = Vec::add(o_near, g), o_far = Vec::add(o_far, f);
      const Vec::T start = bias ? how.load(bias + i) : Vec::zero();
      how.store(even + i, Vec::fma(near, e_near, Vec::fma(far, e_far, start)));
      how.store(odd + i, Vec::fma(near, o_near, Vec::fma(far, o_far, start)));
    });
}

[[gnu::noinline]] LGMS_FLATTEN void combine(bool first, bool last, long pixels, long c, const Taps& t, long step,
                                            const float* bias, float* even, float* odd, long ld) {
  if (first && last)
    combine<true, true>(pixels, c, t, step, bias, even, odd, ld);
  else if (first)
    combine<true, false>(pixels, c, t, step, bias, even, odd, ld);
  else if (last)
    combine<false, true>(pixels, c, t, step, bias, even, odd, ld);
  else
    combine<false, false>(pixels, c, t, step, bias, even, odd, ld);
}

// The taps at i of n, where at(k, j) is v_k at j.
template <class At>
LGMS_INLINE Taps taps_at(long i, long n, const At& at) {
  const long before = i > 0 ? i - 1 : 0, after = i + 1 < n ? i + 1 : n - 1;
  return {{at(0, before), at(0, i)}, {at(1, before), at(1, i), at(1, after)}, {at(2, i), at(2, after)}};
}

// One unit's memory and its walk over x. mix(x, mixed): a row of x, all taps' outputs of every pixel.
template <class Mix>
class UpWalk {
 public:
  UpWalk(const UpDims& d, const lgms::kernels::UpConvolutionUnit& u, const Mix& mix,
         const lgms::kernels::Fusing<float>& fusing, long block, float* y, float* scratch)
      : d_(d),
        u_(u),
        mix_(mix),
        bias_(fusing.epilogue.bias.data),
        finisher_(fusing, d.cout, 2 * d.w),
        block_(block),
        y_(y),
        row_(2 * d.w * d.cout),
        depth_taps_(d.volume ? 3 : 1),
        plane_(2 * (u.y1 - u.y0) * row_),
        mixed_(scratch),
        rows_(mixed_ + d.w * d.taps() * d.cout),
        planes_(rows_ + 3 * depth_taps_ * 3 * row_) {}

  void run(const float* x) {
    const long z_first = d_.volume && u_.z0 > 0 ? u_.z0 - 1 : u_.z0;
    const long z_last = d_.volume && u_.z1 < d_.d ? u_.z1 + 1 : u_.z1;
    const long y_first = u_.y0 > 0 ? u_.y0 - 1 : 0, y_last = u_.y1 < d_.h ? u_.y1 + 1 : d_.h;
    long next_z = u_.z0;
    for (long z = z_first; z < z_last; ++z) {
      long next_y = u_.y0;
      for (long y = y_first; y < y_last; ++y) {
        mix(x + ((u_.n * d_.d + z) * d_.h + y) * d_.w * d_.ldx, y);
        for (; next_y < u_.y1 && (next_y < y || y + 1 == d_.h); ++next_y) put_rows(z, next_y);
      }
      for (; d_.volume && next_z < u_.z1 && (next_z < z || z + 1 == d_.d); ++next_z) put_planes(next_z);
    }
  }

 private:
  // Row y of the doubled rows, tap (kz, ky).
  float* row_at(long y, long kz, long ky) const { return rows_ + ((y % 3 * depth_taps_ + kz) * 3 + ky) * row_; }
  // Row j of the strip's doubled rows in plane z, tap kz.
  float* plane_at(long z, long kz, long j) const { return planes_ + (z % 3 * 3 + kz) * plane_ + j * row_; }

  void mix(const float* x, long y) {
    const long outputs = d_.taps() * d_.cout;
    mix_(x, mixed_);
    for (long k = 0; k < depth_taps_ * 3; ++k)
      for (long i = 0, pixels = 1; i < d_.w; i += pixels) {
        pixels = i > 0 && i + 2 < d_.w ? d_.w - 1 - i : 1;  // those inside at once
        float* const to = row_at(y, k / 3, k % 3) + 2 * i * d_.cout;
        const Taps t =
            taps_at(i, d_.w, [&](long kx, long at) { return mixed_ + at * outputs + (k * 3 + kx) * d_.cout; });
        combine(i == 0, i + 1 == d_.w, pixels, d_.cout, t, outputs, nullptr, to, to + d_.cout, 2 * d_.cout);
      }
  }

  // The two rows of y that row y of x makes, or in volumes those of every tap of depth.
  void put_rows(long z, long y) {
    for (long kz = 0; kz < depth_taps_; ++kz) {
      const Taps t = taps_at(y, d_.h, [&](long ky, long at) { return row_at(at, kz, ky); });
      const bool first = y == 0, last = y + 1 == d_.h;
      const long j = 2 * (y - u_.y0);
      if (d_.volume)
        combine(first, last, 2 * d_.w, d_.cout, t, d_.cout, nullptr, plane_at(z, kz, j), plane_at(z, kz, j + 1),
                d_.cout);
      else
        put(first, last, t, (u_.n * d_.d + z) * 2 * d_.h + 2 * y, 1);
    }
  }
  void put_planes(long z) {
    for (long j = 0; j < 2 * (u_.y1 - u_.y0); ++j) {
      const Taps t = taps_at(z, d_.d, [&](long kz, long at) { return plane_at(at, kz, j); });
      put(z == 0, z + 1 == d_.d, t, ((u_.n * 2 * d_.d) + 2 * z) * 2 * d_.h + 2 * u_.y0 + j, 2 * d_.h);
    }
  }
  // Rows `row` and `row` + step of y, counted over all of it.
  void put(bool first, bool last, const Taps& t, long row, long step) {
    const long pixels = 2 * d_.w;
    float* const rows[2] = {y_ + row * pixels * d_.ldy, y_ + (row + step) * pixels * d_.ldy};
    combine(first, last, pixels, d_.cout, t, d_.cout, bias_, rows[0], rows[1], d_.ldy);
    for (long r = 0; r < 2; ++r)
      for (long c = 0; c < d_.cout; c += Vec::lanes)
        finisher_(block_, begins_ && r == 0, c, d_.cout - c, (row + r * step) * pixels,
                  {rows[r] + c, 1, pixels, d_.ldy, 0});
    begins_ = false;
  }

  const UpDims& d_;
  const lgms::kernels::UpConvolutionUnit& u_;
  const Mix& mix_;
  const float* bias_;
  Finisher finisher_;
  long block_;
  bool begins_ = true;
  float* y_;
  long row_, depth_taps_, plane_;
  float *mixed_, *rows_, *planes_;
};

}  // namespace
