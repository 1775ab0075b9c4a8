#include "core/io/tensor_bytes.h"

namespace lgms::io {
namespace {

template <class T>
std::span<uint8_t> as_bytes(std::span<T> elements) {
  return {reinterpret_cast<uint8_t*>(elements.data()), elements.size_bytes()};
}

}  // namespace

std::span<uint8_t> bytes_of(const TensorView& dense) {
  switch (dense.dtype()) {
    case DType::f32: return as_bytes(dense.span<float>());
    case DType::f64: return as_bytes(dense.span<double>());
    case DType::i64: return as_bytes(dense.span<int64_t>());
    case DType::u8: break;
  }
  return dense.span<uint8_t>();
}

}  // namespace lgms::io
