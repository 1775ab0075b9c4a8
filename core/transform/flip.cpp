#include "core/transform/flip.h"

#include "core/transform/pixels.h"

namespace lgms::transform {

Tensor flip_vertical(const TensorView& x) {
  expect_image("flip_vertical", x);
  const int64_t h = x.shape()[0], w = x.shape()[1];
  return gather_pixels(x, h, w, [&](int64_t i, int64_t j) { return std::pair{h - 1 - i, j}; });
}

Tensor flip_horizontal(const TensorView& x) {
  expect_image("flip_horizontal", x);
  const int64_t h = x.shape()[0], w = x.shape()[1];
  return gather_pixels(x, h, w, [&](int64_t i, int64_t j) { return std::pair{i, w - 1 - j}; });
}

Tensor rot90(const TensorView& x, int k) {
  expect_image("rot90", x);
  const int64_t h = x.shape()[0], w = x.shape()[1];
  switch (((k % 4) + 4) % 4) {
    case 1: return gather_pixels(x, w, h, [&](int64_t i, int64_t j) { return std::pair{j, w - 1 - i}; });
    case 2: return gather_pixels(x, h, w, [&](int64_t i, int64_t j) { return std::pair{h - 1 - i, w - 1 - j}; });
    case 3: return gather_pixels(x, w, h, [&](int64_t i, int64_t j) { return std::pair{h - 1 - j, i}; });
    default: return gather_pixels(x, h, w, [&](int64_t i, int64_t j) { return std::pair{i, j}; });
  }
}

Tensor reverse_channels(const Tensor& x) {
  expect_image("reverse_channels", x);
  const Tensor y = Tensor::empty(Device::cpu, x.shape(), x.dtype());
  const int64_t c = x.channels();
  for (int64_t k = 0; k < c; ++k) copy(x.slice(k, 1), y.slice(c - 1 - k, 1));
  return y;
}

}  // namespace lgms::transform
