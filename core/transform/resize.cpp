#include "core/transform/resize.h"

#include <cmath>
#include <vector>

#include "core/transform/pixels.h"

namespace lgms::transform {
namespace {

void expect_size(const char* op, const TensorView& x, int64_t h, int64_t w) {
  check(h > 0 && w > 0 && x.numel() > 0, ErrorKind::usage, '[', op, "] size: expected pixels to resize, got ",
        x.shape(), " to ", h, " x ", w);
}

// Output pixel i is (1 - weight) source[first] + weight source[second].
struct Tap {
  int64_t first, second;
  float weight;
};

std::vector<Tap> taps(int64_t in, int64_t out) {
  std::vector<Tap> result;
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  for (int64_t i = 0; i < out; ++i) {
    const double position = std::max(0.0, (static_cast<double>(i) + 0.5) * scale - 0.5);
    const int64_t first = std::min(static_cast<int64_t>(position), in - 1);
    result.push_back({first, std::min(first + 1, in - 1), static_cast<float>(position - static_cast<double>(first))});
  }
  return result;
}

}  // namespace

Tensor resize_bilinear(const TensorView& x, int64_t h, int64_t w) {
  expect_float_image("resize_bilinear", x);
  expect_size("resize_bilinear", x, h, w);
  const int64_t c = x.channels(), ld = x.row_stride();
  const Tensor y = Tensor::empty(Device::cpu, {h, w, c});
  const auto columns = taps(x.shape()[1], w);
  float* into = y.data<float>();
  for (const Tap& row : taps(x.shape()[0], h)) {
    const float* upper = x.data<float>() + row.first * x.shape()[1] * ld;
    const float* lower = x.data<float>() + row.second * x.shape()[1] * ld;
    for (const Tap& column : columns)
      for (int64_t k = 0; k < c; ++k) {
        const int64_t left = column.first * ld + k, right = column.second * ld + k;
        const float top = (1 - column.weight) * upper[left] + column.weight * upper[right];
        const float bottom = (1 - column.weight) * lower[left] + column.weight * lower[right];
        *into++ = (1 - row.weight) * top + row.weight * bottom;
      }
  }
  return y;
}

Tensor resize_nearest(const TensorView& x, int64_t h, int64_t w, Nearest rule) {
  expect_image("resize_nearest", x);
  expect_size("resize_nearest", x, h, w);
  const int64_t half = rule == Nearest::centre ? 1 : 0;
  const auto source = [half](int64_t i, int64_t in, int64_t out) { return (2 * i + half) * in / (2 * out); };
  return gather_pixels(x, h, w, [&](int64_t i, int64_t j) {
    return std::pair{source(i, x.shape()[0], h), source(j, x.shape()[1], w)};
  });
}

Tensor round_to_8_bits(const TensorView& x) {
  expect_float_image("round_to_8_bits", x);
  const Tensor y = Tensor::empty(Device::cpu, x.shape());
  y.copy_from(x);
  for (float& v : y.span<float>()) v = std::min(255.0f, std::max(0.0f, std::floor(v + 0.5f)));
  return y;
}

}  // namespace lgms::transform
