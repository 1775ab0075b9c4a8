#include "core/transform/layout.h"

#include "core/error.h"

namespace lgms::transform {
namespace {

// out[n, s, c] = in[n, c, s] for [n, c, s] extents; applied to [n, s, c] it is its own inverse.
template <class T>
void transpose(const T* in, T* out, int64_t n, int64_t c, int64_t s) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < c; ++j)
      for (int64_t k = 0; k < s; ++k) out[(i * s + k) * c + j] = in[(i * c + j) * s + k];
}

Tensor transposed(const Tensor& x, const Shape& shape, int64_t n, int64_t c, int64_t s) {
  const Tensor from = x.dense();
  Tensor into = Tensor::empty(Device::cpu, shape, x.dtype());
  switch (x.dtype()) {
    case DType::f32: transpose(from.data<float>(), into.data<float>(), n, c, s); break;
    case DType::f64: transpose(from.data<double>(), into.data<double>(), n, c, s); break;
    case DType::i64: transpose(from.data<int64_t>(), into.data<int64_t>(), n, c, s); break;
    case DType::u8: transpose(from.data<uint8_t>(), into.data<uint8_t>(), n, c, s); break;
  }
  return into;
}

}  // namespace

Tensor to_channels_last(const Tensor& x) {
  const Shape& s = x.shape();
  check(s.rank() == 4 || s.rank() == 5, ErrorKind::usage, "[layout] expected [N, C, H, W] or [N, C, D, H, W], got ", s);
  const Shape shape = s.rank() == 4 ? Shape{s[0], 1, s[2], s[3], s[1]} : Shape{s[0], s[2], s[3], s[4], s[1]};
  return transposed(x, shape, s[0], s[1], shape[1] * shape[2] * shape[3]);
}

Tensor to_channels_first(const Tensor& x, int rank) {
  const Shape& s = x.shape();
  check(s.rank() == 5 && (rank == 3 || s[1] == 1), ErrorKind::usage, "[layout] expected [N, ", rank == 3 ? "D" : "1",
        ", H, W, C], got ", s);
  const Shape shape = rank == 2 ? Shape{s[0], s[4], s[2], s[3]} : Shape{s[0], s[4], s[1], s[2], s[3]};
  return transposed(x, shape, s[0], s[1] * s[2] * s[3], s[4]);
}

}  // namespace lgms::transform
