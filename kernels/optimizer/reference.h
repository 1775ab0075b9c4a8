#pragma once
#include <cmath>

#include "kernels/optimizer/optimizer.h"

namespace lgms::kernels {

template <class T>
void sgd_step_reference(int64_t n, const SgdFactors<T>& f, const T* gradient, T* weight, T* velocity) {
  for (int64_t i = 0; i < n; ++i) {
    velocity[i] = f.momentum * velocity[i] + (gradient[i] + f.weight_decay * weight[i]);
    weight[i] -= f.rate * velocity[i];
  }
}

template <class T>
void adamw_step_reference(int64_t n, const AdamWFactors<T>& f, const T* gradient, T* weight, T* mean, T* square) {
  for (int64_t i = 0; i < n; ++i) {
    const T g = gradient[i];
    mean[i] += f.mean * (g - mean[i]);
    square[i] = f.square * square[i] + f.square_new * g * g;
    weight[i] = f.shrink * weight[i] - f.step * mean[i] / (std::sqrt(square[i]) / f.root + f.eps);
  }
}

}  // namespace lgms::kernels
