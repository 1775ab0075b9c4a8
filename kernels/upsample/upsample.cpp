#include "kernels/upsample/upsample.h"

#include "kernels/upsample/reference.h"

namespace lgms::kernels {
namespace {

constexpr Impl<UpsampleForward> forward_impls[] = {{"generic", Isa::generic, upsample_forward_generic},
                                                   {"reference", Isa::reference, upsample_forward_reference<float>}};
constexpr Impl<UpsampleBackward> backward_impls[] = {{"generic", Isa::generic, upsample_backward_generic},
                                                     {"reference", Isa::reference, upsample_backward_reference<float>}};

UpsampleDims dims_of(const TensorView& x, int rank, const TensorView& y, const char* x_name, const char* y_name) {
  expect_activations("upsample", x_name, x);
  check(rank == 2 || rank == 3, ErrorKind::usage, "[upsample] rank: expected 2 or 3, got ", rank);
  const Shape& s = x.shape();
  const UpsampleDims d{s[0], s[1], s[2], s[3], s[4], rank - 1, x.row_stride(), y.row_stride()};
  expect_shape("upsample", y_name, y, {d.n, d.d * d.scale_d, 2 * d.h, 2 * d.w, d.c});
  expect_type("upsample", y_name, y, x.dtype());
  return d;
}

template <class T, class Run>
void in_parallel(const UpsampleDims& d, int64_t units, const TensorView& from, const TensorView& into, Run* run) {
  Context& context = Context::current();
  const Scratch scratch(context.allocator(), context.threads() * d.scratch() * static_cast<int64_t>(sizeof(T)));
  parallel_ranges(units, 1 + 16384 / (2 * d.w * d.c + 1), [&](int64_t first, int64_t last, int worker) {
    run(d, first, last, from.data<T>(), into.data<T>(), scratch.as<T>() + worker * d.scratch());
  });
}

}  // namespace

std::span<const Impl<UpsampleForward>> upsample_forward_impls() { return forward_impls; }
std::span<const Impl<UpsampleBackward>> upsample_backward_impls() { return backward_impls; }

void upsample_forward(const TensorView& x, int rank, const TensorView& y) {
  const UpsampleDims d = dims_of(x, rank, y, "x", "y");
  if (x.dtype() == DType::f64)
    in_parallel<double>(d, d.forward_units(), x, y, upsample_forward_reference<double>);
  else
    in_parallel<float>(d, d.forward_units(), x, y, pick(upsample_forward_impls()).run);
}

void upsample_backward(const TensorView& dy, int rank, const TensorView& dx) {
  const UpsampleDims d = dims_of(dx, rank, dy, "dx", "dy");
  if (dx.dtype() == DType::f64)
    in_parallel<double>(d, d.backward_units(), dy, dx, upsample_backward_reference<double>);
  else
    in_parallel<float>(d, d.backward_units(), dy, dx, pick(upsample_backward_impls()).run);
}

}  // namespace lgms::kernels
