#include "kernels/upsample/upsample.h"

#include <cmath>

#include "autograd/gradcheck.h"
#include "autograd/ops.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

namespace {

struct Size {
  int64_t n, d, h, w, c;
  int rank;
};
const Size sizes[] = {{2, 1, 4, 6, 16, 2}, {1, 1, 1, 1, 1, 2},  {1, 3, 2, 5, 7, 2}, {1, 1, 1, 1, 3, 3},
                      {2, 3, 5, 3, 9, 3},  {1, 2, 1, 4, 17, 3}, {0, 1, 2, 2, 4, 2}, {1, 1, 7, 2, 33, 2}};

Shape small(const Size& s) { return {s.n, s.d, s.h, s.w, s.c}; }
Shape large(const Size& s) { return {s.n, s.rank == 3 ? 2 * s.d : s.d, 2 * s.h, 2 * s.w, s.c}; }

Tensor in_context(Isa isa, int threads, const Size& s, const Tensor& from, bool forward, int64_t pad) {
  Context context({.threads = threads, .isa = isa});
  const Context::Scope scope(context);
  const Tensor into = padded(forward ? large(s) : small(s), from.dtype(), pad);
  (forward ? kernels::upsample_forward : kernels::upsample_backward)(from, s.rank, into);
  CHECK(padding_intact(into, pad));
  return into;
}

}  // namespace

TEST_CASE("upsample: every implementation equals the reference, strides and edges included") {
  for (const Size& s : sizes)
    for (bool forward : {true, false})
      for (int64_t pad : {0, 3}) {
        // Small integers times quarters are exact.
        const Tensor from = integers(forward ? small(s) : large(s), 1, DType::f32, pad);
        const Tensor want = in_context(Isa::reference, 1, s, from, forward, 0);
        for (Isa isa : isas())
          for (int threads : {1, 2, 3})
            CHECK(max_difference(in_context(isa, threads, s, from, forward, pad), want) == 0);
      }
}

TEST_CASE("upsample: numbers of torch.nn.Upsample(scale_factor=2, mode='bilinear')") {
  const Tensor x = Tensor::from<float>({1, 1, 2, 2, 1}, {1, 2, 3, 4});
  const Tensor y = Tensor::empty({1, 1, 4, 4, 1});
  kernels::upsample_forward(x, 2, y);
  const std::vector<float> want{1, 1.25, 1.75, 2, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3, 3.25, 3.75, 4};
  CHECK(std::vector<float>(y.span<float>().begin(), y.span<float>().end()) == want);
}

TEST_CASE("upsample: constants stay, also NaN and infinity spread no further than their neighbours") {
  const Tensor x = Tensor::full({1, 1, 3, 3, 2}, 1.25), y = Tensor::empty({1, 1, 6, 6, 2});
  kernels::upsample_forward(x, 2, y);
  CHECK(max_difference(y, Tensor::full(y.shape(), 1.25)) == 0);
  x.data<float>()[0] = NAN;
  kernels::upsample_forward(x, 2, y);
  CHECK(std::isnan(y.data<float>()[0]));
  CHECK(y.data<float>()[(3 * 6 + 3) * 2] == 1.25f);
}

TEST_CASE("upsample: gradient matches central differences in double") {
  for (const Size& s : sizes) {
    if (s.n == 0) continue;
    const auto f = [&](auto& v) { return autograd::upsample(v[0], s.rank); };
    CHECK(autograd::gradcheck(f, {randn(small(s), 1, DType::f64, 2)}).error < 1e-7);
  }
}

TEST_CASE("upsample: wrong shapes throw and name the argument") {
  const Tensor x = Tensor::zeros({1, 1, 2, 2, 3});
  CHECK(error_of([&] {
          kernels::upsample_forward(x, 2, Tensor::zeros({1, 1, 4, 4, 2}));
        }) == "[upsample] y: expected [1, 1, 4, 4, 3], got [1, 1, 4, 4, 2]");
  CHECK(error_of([&] {
          kernels::upsample_backward(Tensor::zeros({1, 1, 4, 4, 3}), 3, x);
        }) == "[upsample] dy: expected [1, 2, 4, 4, 3], got [1, 1, 4, 4, 3]");
  CHECK(error_of([&] { kernels::upsample_forward(x, 1, x); }) == "[upsample] rank: expected 2 or 3, got 1");
  CHECK(error_of([&] {
          kernels::upsample_forward(x.reshaped({4, 3}), 2, x);
        }) == "[upsample] x: expected [N, D, H, W, C], got [4, 3]");
}
