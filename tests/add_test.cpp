#include "kernels/add/add.h"

#include "autograd/gradcheck.h"
#include "autograd/ops.h"
#include "kernels/add/reference.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

TEST_CASE("add: every implementation equals the reference at SIMD edge sizes and strides") {
  for (const auto& impl : kernels::add_forward_impls())
    for (int64_t c : simd_edge_sizes(65))
      for (int64_t pad : {0, 3}) {
        if (!supported(impl.isa)) continue;
        CAPTURE(impl.name);
        CAPTURE(c);
        const kernels::AddDims d{6, c, c + pad, c, c + pad};
        const auto a = small_integers(6 * d.lda, 1), b = small_integers(6 * d.ldb, 2);
        std::vector<float> y(static_cast<size_t>(6 * d.ldy), 7.f), want = y;
        impl.run(d, a.data(), b.data(), y.data());
        kernels::add_forward_reference(d, a.data(), b.data(), want.data());
        CHECK(y == want);
      }
}

TEST_CASE("add: gradient matches central differences in double, also where both inputs are one variable") {
  const auto f = [](auto& v) { return autograd::add(autograd::add(v[0], v[1]), v[0]); };
  CHECK(autograd::gradcheck(f, {randn({2, 1, 2, 3, 5}, 1), randn({2, 1, 2, 3, 5}, 2, DType::f64, 3)}).error < 1e-7);
}

TEST_CASE("add: wrong shapes throw and name the argument; no rows are fine") {
  CHECK(error_of([] {
          kernels::add_forward(Tensor::zeros({2, 3}), Tensor::zeros({2, 4}), Tensor::zeros({2, 3}));
        }) == "[add] b: expected [2, 3], got [2, 4]");
  kernels::add_forward(Tensor::zeros({0, 3}), Tensor::zeros({0, 3}), Tensor::zeros({0, 3}));
}
