#include "core/transform/cut.h"

#include <algorithm>

#include "core/error.h"

namespace lgms::transform {
namespace {

template <class T>
void cut_of(const TensorView& x, const Size3& origin, const Tensor& y, Outside outside) {
  const int64_t c = x.channels();
  T* to = y.data<T>();
  const auto inside = [&](int axis, int64_t i) { return std::clamp<int64_t>(i, 0, x.shape()[axis] - 1); };
  for (int64_t d = 0; d < y.shape()[0]; ++d)
    for (int64_t h = 0; h < y.shape()[1]; ++h) {
      const int64_t z = inside(0, d + origin[0]), r = inside(1, h + origin[1]);
      const bool row_outside = z != d + origin[0] || r != h + origin[1];
      const T* const row = x.data<T>() + (z * x.shape()[1] + r) * x.shape()[2] * x.row_stride();
      for (int64_t w = 0; w < y.shape()[2]; ++w, to += c) {
        const int64_t column = inside(2, w + origin[2]);
        if (outside == Outside::zero && (row_outside || column != w + origin[2]))
          std::fill_n(to, c, T{0});
        else
          std::copy_n(row + column * x.row_stride(), c, to);
      }
    }
}

}  // namespace

Tensor cut(const TensorView& x, const Size3& origin, const Size3& size, Outside outside) {
  check(x.shape().rank() == 4 && x.numel() > 0, ErrorKind::usage, "[cut] x: expected [D, H, W, C] with voxels, got ",
        x.shape());
  const Tensor y = Tensor::empty(Device::cpu, {size[0], size[1], size[2], x.channels()}, x.dtype());
  switch (x.dtype()) {
    case DType::f32: cut_of<float>(x, origin, y, outside); break;
    case DType::f64: cut_of<double>(x, origin, y, outside); break;
    case DType::i64: cut_of<int64_t>(x, origin, y, outside); break;
    case DType::u8: cut_of<uint8_t>(x, origin, y, outside); break;
  }
  return y;
}

}  // namespace lgms::transform
