#include "core/transform/normalise.h"

#include "core/transform/pixels.h"

namespace lgms::transform {
namespace {

template <class T>
void normalise_of(const TensorView& x, std::span<const float> mean, std::span<const float> std, float* y) {
  for (int64_t row = 0; row < x.rows(); ++row)
    for (int64_t c = 0; c < x.channels(); ++c) {
      const auto k = static_cast<size_t>(c);
      *y++ = (static_cast<float>(x.data<T>()[row * x.row_stride() + c]) / 255.0f - mean[k]) / std[k];
    }
}

}  // namespace

Tensor normalise(const TensorView& x, std::span<const float> mean, std::span<const float> std) {
  expect_image("normalise", x);
  const auto c = static_cast<size_t>(x.channels());
  check(mean.size() == c && std.size() == c, ErrorKind::usage, "[normalise] mean, std: expected ", c,
        " values each, got ", mean.size(), " and ", std.size());
  check(x.dtype() == DType::f32 || x.dtype() == DType::u8, ErrorKind::usage, "[normalise] x: expected f32 or u8, got ",
        x.dtype());
  const Tensor y = Tensor::empty(Device::cpu, x.shape());
  if (x.dtype() == DType::f32)
    normalise_of<float>(x, mean, std, y.data<float>());
  else
    normalise_of<uint8_t>(x, mean, std, y.data<float>());
  return y;
}

Tensor divide_by_255(const TensorView& x) {
  expect_float_image("divide_by_255", x);
  const Tensor y = Tensor::empty(Device::cpu, x.shape());
  y.copy_from(x);
  for (float& v : y.span<float>()) v /= 255.0f;
  return y;
}

}  // namespace lgms::transform
