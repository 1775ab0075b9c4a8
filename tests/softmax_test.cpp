#include <limits>

#include "kernels/softmax/reference.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::kernels;
using namespace lgms::testing;

TEST_CASE("softmax: every implementation equals the reference in double, at any stride and in place") {
  for (const auto& impl : softmax_forward_impls())
    for (int64_t c : {1, 2, 3, 14, 33})
      for (int64_t rows : {0, 1, 3, 4, 5, 9}) {
        CAPTURE(impl.name);
        CAPTURE(c);
        CAPTURE(rows);
        const SoftmaxDims d{rows, c, c + 3, c + 3};
        std::vector<float> x = normals(rows * d.ldx, 1);
        for (float& v : x) v *= 10;
        const std::vector<double> wide(x.begin(), x.end());
        std::vector<double> want(wide);
        softmax_forward_reference<double>(d, wide.data(), want.data());
        std::vector<float> p(x), in_place(x);
        impl.run(d, x.data(), p.data());
        impl.run(d, in_place.data(), in_place.data());
        CHECK(p == in_place);
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t i = 0; i < d.ldp; ++i) {
            const size_t at = static_cast<size_t>(r * d.ldp + i);
            if (i < c)  // exp of a difference up to 60 carries that many half units in the last place
              CHECK(std::abs(p[at] - want[at]) <= 64 * std::numeric_limits<float>::epsilon());
            else
              CHECK(p[at] == x[at]);
          }
      }
}

TEST_CASE("softmax: logits far apart give 1 and next to nothing, and a pixel does not depend on those beside it") {
  const std::vector<float> x{-1e30f, 0, 1e30f, 5, 5, 5};
  for (const auto& impl : softmax_forward_impls()) {
    std::vector<float> p(6), alone(3);
    impl.run({2, 3, 3, 3}, x.data(), p.data());
    CHECK(p[2] == 1);
    CHECK(p[0] < 1e-37f);
    CHECK(p[3] == doctest::Approx(1.0 / 3));
    impl.run({1, 3, 3, 3}, x.data() + 3, alone.data());
    for (size_t c = 0; c < 3; ++c) CHECK(alone[c] == p[3 + c]);
  }
}
