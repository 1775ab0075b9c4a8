#pragma once
// Shared by the transforms of volumes [D, H, W, C].
#include "core/error.h"
#include "core/geometry.h"
#include "core/tensor.h"

namespace lgms::transform {

inline void expect_volume(const char* op, const TensorView& x) {
  check(x.shape().rank() == 4 && x.numel() > 0, ErrorKind::usage, '[', op, "] x: expected voxels [D, H, W, C], got ",
        x.shape());
}

// Calls f with a zero of the type that dtype names.
template <class F>
void with_type(DType dtype, const F& f) {
  switch (dtype) {
    case DType::f32: return f(float{});
    case DType::f64: return f(double{});
    case DType::i64: return f(int64_t{});
    case DType::u8: return f(uint8_t{});
  }
}

}  // namespace lgms::transform
