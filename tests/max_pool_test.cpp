#include "kernels/max_pool/max_pool.h"

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
const Size sizes[] = {{2, 1, 4, 6, 16, 2}, {1, 1, 2, 2, 1, 2}, {1, 3, 5, 7, 7, 2}, {1, 2, 2, 2, 130, 3},
                      {2, 3, 5, 7, 9, 3},  {0, 1, 2, 2, 4, 2}, {1, 1, 1, 1, 3, 2}, {1, 1, 6, 2, 65, 2}};

Shape input(const Size& s) { return {s.n, s.d, s.h, s.w, s.c}; }
Shape output(const Size& s) { return {s.n, s.rank == 3 ? s.d / 2 : s.d, s.h / 2, s.w / 2, s.c}; }

struct Result {
  Tensor y, index, dx;
};

Result in_context(Isa isa, int threads, const Size& s, const Tensor& x, const Tensor& dy, int64_t pad) {
  Context context({.threads = threads, .isa = isa});
  const Context::Scope scope(context);
  Result r{padded(output(s), x.dtype(), pad), Tensor::empty(output(s), DType::u8), padded(input(s), x.dtype(), pad)};
  kernels::max_pool_forward(x, s.rank, r.y, r.index);
  kernels::max_pool_backward(dy, r.index, s.rank, r.dx);
  CHECK(padding_intact(r.y, pad));
  CHECK(padding_intact(r.dx, pad));
  return r;
}

}  // namespace

TEST_CASE("max_pool: every implementation equals the reference, ties, strides and odd sizes included") {
  for (const Size& s : sizes)
    for (int64_t pad : {0, 3}) {
      const Tensor x = integers(input(s), 1, DType::f32, pad), dy = integers(output(s), 2, DType::f32, pad);
      const Result want = in_context(Isa::reference, 1, s, x, dy, 0);
      for (Isa isa : isas())
        for (int threads : {1, 2, 3}) {
          const Result got = in_context(isa, threads, s, x, dy, pad);
          CHECK(max_difference(got.y, want.y) == 0);
          CHECK(max_difference(got.index, want.index) == 0);
          CHECK(max_difference(got.dx, want.dx) == 0);
        }
    }
}

TEST_CASE("max_pool: the first maximum wins, NaN wins over numbers, as in PyTorch") {
  for (const auto& impl : kernels::max_pool_forward_impls()) {
    if (!supported(impl.isa)) continue;
    CAPTURE(impl.name);
    const kernels::MaxPoolLine line{5, 1, 1, 1, 4, {0, 1, 10, 11}};
    const float x[] = {1, 1, -INFINITY, -INFINITY, NAN, 2, 3,   NAN, 0, 5,  //
                       1, 1, -INFINITY, -INFINITY, 3,   4, NAN, 9,   5, -1};
    float y[5];
    uint8_t index[5];
    impl.run(line, x, y, index);
    CHECK(y[0] == 1);
    CHECK(index[0] == 0);
    CHECK(y[1] == -INFINITY);
    CHECK(index[1] == 0);
    CHECK(std::isnan(y[2]));
    CHECK(index[2] == 0);
    CHECK(std::isnan(y[3]));
    CHECK(index[3] == 2);  // of several NaN the last
    CHECK(y[4] == 5);
    CHECK(index[4] == 1);
    impl.run(line, x, y, nullptr);
    CHECK(y[4] == 5);
  }
}

TEST_CASE("max_pool: gradient matches central differences in double") {
  for (const Size& s : sizes) {
    if (output(s).numel() == 0) continue;
    const auto f = [&](auto& v) { return autograd::max_pool(v[0], s.rank); };
    CHECK(autograd::gradcheck(f, {randn(input(s), 1, DType::f64, 2)}).error < 1e-7);
  }
}

TEST_CASE("max_pool: saves one byte per output, nothing without gradients") {
  const autograd::Variable x(randn({1, 1, 4, 4, 8}, 1, DType::f32), true);
  const auto saved = autograd::saved_tensors(autograd::max_pool(x, 2));
  REQUIRE(saved.size() == 1);
  CHECK(saved[0].bytes == 4 * 8);
  const autograd::NoGrad no_grad;
  CHECK(autograd::saved_tensors(autograd::max_pool(x, 2)).empty());
}

TEST_CASE("max_pool: wrong shapes throw and name the argument") {
  const Tensor x = Tensor::zeros({1, 2, 4, 4, 3});
  CHECK(error_of([&] {
          kernels::max_pool_forward(x, 3, Tensor::zeros({1, 2, 2, 2, 3}), {});
        }) == "[max_pool] y: expected [1, 1, 2, 2, 3], got [1, 2, 2, 2, 3]");
  const Tensor y = Tensor::zeros({1, 1, 2, 2, 3});
  CHECK(error_of([&] { kernels::max_pool_forward(x, 3, y, y); }) == "[max_pool] index: expected u8, got f32");
  CHECK(error_of([&] { kernels::max_pool_backward(y, {}, 3, x); }).find("[max_pool] index") == 0);
  CHECK(error_of([&] { kernels::max_pool_forward(x, 4, y, {}); }) == "[max_pool] rank: expected 2 or 3, got 4");
}
