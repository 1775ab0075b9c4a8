#pragma once
#include <algorithm>
#include <cmath>

#include "kernels/softmax/softmax.h"

namespace lgms::kernels {

template <class T>
void softmax_add_reference(const SoftmaxDims& d, const T* x, const T* weight, T* y, T* scratch) {
  for (int64_t r = 0; r < d.rows; ++r, x += d.ldx, y += d.ldy) {
    const T most = *std::max_element(x, x + d.c);
    T sum = 0;
    for (int64_t c = 0; c < d.c; ++c) sum += scratch[c] = std::exp(x[c] - most);
    for (int64_t c = 0; c < d.c; ++c) y[c] += static_cast<T>(d.factor) * weight[r] * scratch[c] / sum;
  }
}

}  // namespace lgms::kernels
