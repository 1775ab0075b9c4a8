#pragma once
// The updates over the Vec of the file that includes this; the operations of reference.h in their order, so that every
// row gives its bits. AVX-512: 6.2 million parameters by AdamW from 22 ms (scalar: a square root that may set errno is
// not vectorised) to what memory allows.
#include "kernels/optimizer/optimizer.h"

namespace {

// body(first, lanes) for all n elements, whole vectors first.
template <class Body>
inline void over_vectors(long n, const Body& body) {
  long i = 0;
  for (; i + Vec::lanes <= n; i += Vec::lanes) body(i, Vec::lanes);
  if (i < n) body(i, n - i);
}

void sgd(long n, const lgms::kernels::SgdFactors<float>& f, const float* gradient, float* weight, float* velocity) {
  const Vec::T rate = Vec::set1(f.rate), momentum = Vec::set1(f.momentum), decay = Vec::set1(f.weight_decay);
  over_vectors(n, [&](long i, long live) {
    const Vec::T w = Vec::load(weight + i, live);
    const Vec::T v = Vec::add(Vec::mul(momentum, Vec::load(velocity + i, live)),
                              Vec::add(Vec::load(gradient + i, live), Vec::mul(decay, w)));
    Vec::store(velocity + i, v, live);
    Vec::store(weight + i, Vec::sub(w, Vec::mul(rate, v)), live);
  });
}

void adamw(long n, const lgms::kernels::AdamWFactors<float>& f, const float* gradient, float* weight, float* mean,
           float* square) {
  const Vec::T shrink = Vec::set1(f.shrink), blend = Vec::set1(f.mean), keep = Vec::set1(f.square);
  const Vec::T fresh = Vec::set1(f.square_new), step = Vec::set1(f.step), root = Vec::set1(f.root);
  const Vec::T eps = Vec::set1(f.eps);
  over_vectors(n, [&](long i, long live) {
    const Vec::T g = Vec::load(gradient + i, live), before = Vec::load(mean + i, live);
    const Vec::T m = Vec::add(before, Vec::mul(blend, Vec::sub(g, before)));
    const Vec::T s = Vec::add(Vec::mul(keep, Vec::load(square + i, live)), Vec::mul(Vec::mul(fresh, g), g));
    const Vec::T size = Vec::add(Vec::div(Vec::sqrt(s), root), eps);
    Vec::store(mean + i, m, live);
    Vec::store(square + i, s, live);
    Vec::store(weight + i, Vec::sub(Vec::mul(shrink, Vec::load(weight + i, live)), Vec::div(Vec::mul(step, m), size)),
               live);
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
