#pragma once
#include "kernels/add/add.h"

namespace lgms::kernels {

template <class T>
void add_forward_reference(const AddDims& d, const T* a, const T* b, T* y) {
  for (int64_t r = 0; r < d.rows; ++r)
    for (int64_t c = 0; c < d.c; ++c) y[r * d.ldy + c] = a[r * d.lda + c] + b[r * d.ldb + c];
}

}  // namespace lgms::kernels
