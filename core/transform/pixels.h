#pragma once
// Shared by the transforms that move pixels and do not change them: any element type, any row stride.
#include <algorithm>

#include "core/error.h"
#include "core/tensor.h"

namespace lgms::transform {

inline void expect_image(const char* op, const TensorView& x) {
  check(x.shape().rank() == 3, ErrorKind::usage, '[', op, "] x: expected [H, W, C], got ", x.shape());
}

inline void expect_float_image(const char* op, const TensorView& x) {
  expect_image(op, x);
  check(x.dtype() == DType::f32, ErrorKind::usage, '[', op, "] x: expected f32, got ", x.dtype());
}

template <class T, class Source>
void gather_pixels_of(const TensorView& x, const TensorView& y, const Source& source) {
  const int64_t h = y.shape()[0], w = y.shape()[1], c = y.channels(), width = x.shape()[1];
  T* into = y.data<T>();
  for (int64_t i = 0; i < h; ++i)
    for (int64_t j = 0; j < w; ++j, into += c) {
      const auto [row, column] = source(i, j);
      std::copy_n(x.data<T>() + (row * width + column) * x.row_stride(), c, into);
    }
}

// y [h, w, C] of x's type, where pixel (i, j) of y is pixel source(i, j) = std::pair{row, column} of x.
template <class Source>
Tensor gather_pixels(const TensorView& x, int64_t h, int64_t w, const Source& source) {
  const Tensor y = Tensor::empty(Device::cpu, {h, w, x.channels()}, x.dtype());
  switch (x.dtype()) {
    case DType::f32: gather_pixels_of<float>(x, y, source); break;
    case DType::f64: gather_pixels_of<double>(x, y, source); break;
    case DType::i64: gather_pixels_of<int64_t>(x, y, source); break;
    case DType::u8: gather_pixels_of<uint8_t>(x, y, source); break;
  }
  return y;
}

}  // namespace lgms::transform
