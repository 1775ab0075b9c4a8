#include "kernels/add/add.h"

#include "kernels/add/reference.h"

namespace lgms::kernels {
namespace {

constexpr Impl<AddForward> impls[] = {{"generic", Device::cpu, Isa::generic, add_forward_generic},
                                      {"reference", Device::cpu, Isa::reference, add_forward_reference<float>}};

template <class T, class Run>
void add_rows(const AddDims& d, const T* a, const T* b, T* y, Run* run) {
  parallel_ranges(d.rows, 1 + 16384 / std::max<int64_t>(d.c, 1), [&](int64_t first, int64_t last, int) {
    run({last - first, d.c, d.lda, d.ldb, d.ldy}, a + first * d.lda, b + first * d.ldb, y + first * d.ldy);
  });
}

}  // namespace

std::span<const Impl<AddForward>> add_forward_impls() { return impls; }

PreparedAdd prepare(const AddDims& d, const Context& context, Device device) {
  return {&pick(add_forward_impls(), context, device), d, d.rows};
}

void run(const PreparedAdd& p, const float* a, const float* b, float* y) { add_rows(p.dims, a, b, y, p.row->run); }

void add_forward(const TensorView& a, const TensorView& b, const TensorView& y) {
  expect_float("add", "a", a);
  expect_shape("add", "b", b, a.shape());
  expect_shape("add", "y", y, a.shape());
  expect_like("add", "b", b, a);
  expect_like("add", "y", y, a);
  const AddDims d{y.rows(), y.channels(), a.row_stride(), b.row_stride(), y.row_stride()};
  const HostRows host(a.device());
  if (a.dtype() == DType::f64)
    add_rows(d, a.data<double>(), b.data<double>(), y.data<double>(), add_forward_reference<double>);
  else
    run(prepare(d, Context::current(), a.device()), a.data<float>(), b.data<float>(), y.data<float>());
}

}  // namespace lgms::kernels
