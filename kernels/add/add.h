#pragma once
// y[r,c] = a[r,c] + b[r,c].
#include "kernels/impl.h"

namespace lgms::kernels {

struct AddDims {
  int64_t rows, c, lda, ldb, ldy;
};

// a, b, y: one shape and type (f32 or f64), any row strides. Overwrites y, which may be a or b. Allocates nothing.
// Throws Error{usage} on shapes or types that differ.
void add_forward(const TensorView& a, const TensorView& b, const TensorView& y);

using AddForward = void(const AddDims&, const float* a, const float* b, float* y);
AddForward add_forward_generic;
// Implementations in this build, fastest first, reference last.
std::span<const Impl<AddForward>> add_forward_impls();
using PreparedAdd = Prepared<Impl<AddForward>, AddDims>;
PreparedAdd prepare(const AddDims& d, const Context& context, Device device = Device::cpu);
void run(const PreparedAdd& p, const float* a, const float* b, float* y);

}  // namespace lgms::kernels
