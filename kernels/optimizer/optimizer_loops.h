#pragma once
// The updates over the Vec of the file that includes this; the operations of reference.h in their order, so that every
// row gives its bits. AVX-512: 6.2 million parameters by AdamW from 22 ms (scalar: a square root that may set errno is
// not vectorised) to what memory allows.
#include "kernels/optimizer/optimizer.h"
#include "kernels/simd/lanes.h"

namespace {

void sgd(long n, const lgms::kernels::SgdFactors<float>& f, const float* gradient, float* weight, float* velocity) {
  const Vec::T rate = Vec::set1(f.rate), momentum = Vec::set1(f.momentum), decay = Vec::set1(f.weight_decay);
  over_lanes(n, [&](long i, auto how) {
    const Vec::T w = how.load(weight + i);
    const Vec::T v =
        Vec::add(Vec::mul(momentum, how.load(velocity + i)), Vec::add(how.load(gradient + i), Vec::mul(decay, w)));
    how.store(velocity + i, v);
    how.store(weight + i, Vec::sub(w, Vec::mul(rate, v)));
  });
}

void adamw(long n, const lgms::kernels::AdamWFactors<float>& f, const float* gradient, float* weight, float* mean,
           float* square) {
  const Vec::T shrink = Vec::set1(f.shrink), blend = Vec::set1(f.mean), keep = Vec::set1(f.square);
  const Vec::T fresh = Vec::set1(f.square_new), step = Vec::set1(f.step), root = Vec::set1(f.root);
  const Vec::T eps = Vec::set1(f.eps);
  over_lanes(n, [&](long i, auto how) {
    const Vec::T g = how.load(gradient + i), before = how.load(mean + i);
    const Vec::T m = Vec::add(before, Vec::mul(blend, Vec::sub(g, before)));
    const Vec::T s = Vec::add(Vec::mul(keep, how.load(square + i)), Vec::mul(Vec::mul(fresh, g), g));
    const Vec::T size = Vec::add(Vec::div(Vec::sqrt(s), root), eps);
    how.store(mean + i, m);
    how.store(square + i, s);
    how.store(weight + i, Vec::sub(Vec::mul(shrink, how.load(weight + i)), Vec::div(Vec::mul(step, m), size)));
  });
}

}  // namespace

namespace lgms::kernels {

void LGMS_ROW(sgd_step)(int64_t n, const SgdFactors<float>& f, const float* gradient, float* weight, float* velocity) {
  sgd(n, f, gradient, weight, velocity);
}

void LGMS_ROW(adamw_step)(int64_t n, const AdamWFactors<float>& f, const float* gradient, float* weight, float* mean,
                          float* square) {
  adamw(n, f, gradient, weight, mean, square);
}

}  // namespace lgms::kernels
