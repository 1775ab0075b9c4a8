#pragma once
#include <cstdint>
#include <ostream>

namespace lgms {

// f32 is the working type; every op also exists in f64 (reference templates); i64 labels and counters; u8 images.
enum class DType : uint8_t { f32, f64, i64, u8 };

constexpr int64_t size_of(DType t) { return t == DType::f32 ? 4 : t == DType::u8 ? 1 : 8; }
constexpr const char* name_of(DType t) {
  return t == DType::f32 ? "f32" : t == DType::f64 ? "f64" : t == DType::i64 ? "i64" : "u8";
}
inline std::ostream& operator<<(std::ostream& out, DType t) { return out << name_of(t); }

template <class T>
inline constexpr DType dtype_of = DType::f32;
template <>
inline constexpr DType dtype_of<float> = DType::f32;
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<int64_t> = DType::i64;
template <>
inline constexpr DType dtype_of<uint8_t> = DType::u8;

}  // namespace lgms
