#pragma once
#include <algorithm>
#include <cmath>

#include "kernels/loss/bce_dice_loss.h"
#include "kernels/loss/dice_ce_loss.h"

namespace lgms::kernels {

template <class T>
void bce_dice_loss_forward_reference(const BceDiceDims& d, const T* logits, const T* target, double* sums) {
  sums[0] = sums[1] = sums[2] = 0;
  for (int64_t r = 0; r < d.rows; ++r)
    for (int64_t c = 0; c < d.c; ++c) {
      const T x = logits[r * d.ldx + c], t = target[r * d.ldt + c], s = 1 / (1 + std::exp(-x));
      sums[0] += s * t;
      sums[1] += s + t;
      sums[2] += std::max(x, T{0}) - x * t + std::log1p(std::exp(-std::abs(x)));
    }
}

template <class T>
void bce_dice_loss_backward_reference(const BceDiceDims& d, const T* logits, const T* target, const double* factors,
                                      T* dlogits) {
  const T w = static_cast<T>(factors[0]), a = static_cast<T>(factors[1]), b = static_cast<T>(factors[2]);
  for (int64_t r = 0; r < d.rows; ++r)
    for (int64_t c = 0; c < d.c; ++c) {
      const T x = logits[r * d.ldx + c], t = target[r * d.ldt + c], s = 1 / (1 + std::exp(-x));
      dlogits[r * d.ldy + c] = w * (s - t) + s * (1 - s) * (a * t + b);
    }
}

// p = softmax(x); returns log(sum exp(x)).
template <class T>
T softmax_reference(const T* x, int64_t c, T* p) {
  const T most = *std::max_element(x, x + c);
  T sum = 0;
  for (int64_t i = 0; i < c; ++i) sum += p[i] = std::exp(x[i] - most);
  for (int64_t i = 0; i < c; ++i) p[i] /= sum;
  return most + std::log(sum);
}

template <class T>
void dice_ce_loss_forward_reference(const DiceCeDims& d, const T* logits, const int64_t* labels, T* p, double* sums,
                                    double* ce) {
  std::fill(sums, sums + 2 * d.c, 0.0);
  *ce = 0;
  for (int64_t r = 0; r < d.rows; ++r) {
    const T* x = logits + r * d.ldx;
    *ce += softmax_reference(x, d.c, p) - x[labels[r]];
    for (int64_t c = 0; c < d.c; ++c) sums[d.c + c] += p[c] * p[c];
    sums[labels[r]] += p[labels[r]];
    sums[d.c + labels[r]] += 1;
  }
}

template <class T>
void dice_ce_loss_backward_reference(const DiceCeDims& d, const T* logits, const int64_t* labels, const double* factors,
                                     double w, T*, T* dlogits) {
  const double *a = factors, *b = factors + d.c;
  for (int64_t r = 0; r < d.rows; ++r) {
    T* p = dlogits + r * d.ldy;
    softmax_reference(logits + r * d.ldx, d.c, p);
    const int64_t label = labels[r];
    T mean = static_cast<T>(a[label]) * p[label];  // sum_k p_k G_k
    for (int64_t c = 0; c < d.c; ++c) mean += static_cast<T>(b[c]) * p[c] * p[c];
    const T at_label = static_cast<T>(a[label]) * p[label] - static_cast<T>(w);
    for (int64_t c = 0; c < d.c; ++c) p[c] *= static_cast<T>(b[c]) * p[c] - mean + static_cast<T>(w);
    p[label] += at_label;
  }
}

}  // namespace lgms::kernels
