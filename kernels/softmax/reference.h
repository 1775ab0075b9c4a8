#pragma once
#include <algorithm>
#include <cmath>

#include "kernels/softmax/softmax.h"

namespace lgms::kernels {

template <class T>
void softmax_forward_reference(const SoftmaxDims& d, const T* x, T* p) {
  for (int64_t r = 0; r < d.rows; ++r, x += d.ldx, p += d.ldp) {
    const T most = *std::max_element(x, x + d.c);
    T sum = 0;
    for (int64_t c = 0; c < d.c; ++c) sum += p[c] = std::exp(x[c] - most);
    for (int64_t c = 0; c < d.c; ++c) p[c] /= sum;
  }
}

}  // namespace lgms::kernels
