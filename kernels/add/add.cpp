#include "kernels/add/add.h"

#include "kernels/add/reference.h"

namespace lgms::kernels {
namespace {

constexpr Impl<AddForward> impls[] = {{"generic", Isa::generic, add_forward_generic},
                                      {"reference", Isa::reference, add_forward_reference<float>}};

template <class T, class Run>
void add_rows(const TensorView& a, const TensorView& b, const TensorView& y, Run* run) {
  parallel_ranges(y.rows(), 1 + 16384 / std::max<int64_t>(y.channels(), 1), [&](int64_t first, int64_t last, int) {
    run({last - first, y.channels(), a.row_stride(), b.row_stride(), y.row_stride()},
        a.data<T>() + first * a.row_stride(), b.data<T>() + first * b.row_stride(),
        y.data<T>() + first * y.row_stride());
  });
}

}  // namespace

std::span<const Impl<AddForward>> add_forward_impls() { return impls; }

void add_forward(const TensorView& a, const TensorView& b, const TensorView& y) {
  expect_shape("add", "b", b, a.shape());
  expect_shape("add", "y", y, a.shape());
  expect_type("add", "b", b, a.dtype());
  expect_type("add", "y", y, a.dtype());
  if (a.dtype() == DType::f64)
    add_rows<double>(a, b, y, add_forward_reference<double>);
  else
    add_rows<float>(a, b, y, pick(add_forward_impls()).run);
}

}  // namespace lgms::kernels
