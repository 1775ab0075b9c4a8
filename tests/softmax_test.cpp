#include <cmath>
#include <limits>

#include "kernels/softmax/reference.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::kernels;
using namespace lgms::testing;

TEST_CASE("softmax: every implementation equals the reference in double, at any stride, forwards and backwards") {
  for (const auto& impl : softmax_add_impls())
    for (int64_t c : {1, 2, 3, 14, 16, 33})
      for (int64_t rows : {0, 1, 3, 4, 5, 9, 16, 37})
        for (bool backwards : {false, true}) {
          if (!supported(impl.isa)) continue;
          CAPTURE(impl.name);
          CAPTURE(c);
          CAPTURE(rows);
          CAPTURE(backwards);
          SoftmaxDims d{rows, c, c + 3, c + 2, 0.125f};
          std::vector<float> x = normals((rows + 1) * d.ldx, 1), scratch(static_cast<size_t>(softmax_scratch(rows, c)));
          for (float& v : x) v *= 10;
          const std::vector<float> weight = normals(rows + 1, 2), before = normals(rows * d.ldy, 3);
          const std::vector<double> wide(x.begin(), x.end()), wide_weight(weight.begin(), weight.end());
          std::vector<double> want(before.begin(), before.end()), wide_scratch(scratch.size());
          const int64_t first = backwards ? rows * d.ldx : 0;
          if (backwards) d.ldx = -d.ldx;
          softmax_add_reference<double>(d, wide.data() + first, wide_weight.data(), want.data(), wide_scratch.data());
          std::vector<float> y(before);
          impl.run(d, x.data() + first, weight.data(), y.data(), scratch.data());
          for (int64_t i = 0; i < rows * d.ldy; ++i) {
            const auto at = static_cast<size_t>(i);
            if (i % d.ldy < c)  // exp of a difference up to 60 carries that many half units in the last place
              CHECK(std::abs(y[at] - want[at]) <= 64 * std::numeric_limits<float>::epsilon());
            else
              CHECK(y[at] == before[at]);
          }
        }
}

TEST_CASE("softmax: logits far apart give 1 and next to nothing, and a pixel does not depend on those beside it") {
  const std::vector<float> x{-1e30f, 0, 1e30f, 5, 5, 5}, weight{1, 0.5f};
  for (const auto& impl : softmax_add_impls()) {
    if (!supported(impl.isa)) continue;
    std::vector<float> y(6), alone(3), scratch(static_cast<size_t>(softmax_scratch(2, 3)));
    impl.run({2, 3, 3, 3, 1}, x.data(), weight.data(), y.data(), scratch.data());
    CHECK(y[2] == 1);
    CHECK(y[0] < 1e-37f);
    CHECK(y[3] == doctest::Approx(1.0 / 6));
    impl.run({1, 3, 3, 3, 1}, x.data() + 3, weight.data() + 1, alone.data(), scratch.data());
    for (size_t c = 0; c < 3; ++c) CHECK(alone[c] == y[3 + c]);
  }
}

TEST_CASE("softmax: a logit that is no number is seen in all classes of its pixel") {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()})
    for (size_t at = 0; at < 20; ++at)
      for (const auto& impl : softmax_add_impls()) {
        if (!supported(impl.isa) || impl.isa == Isa::reference) continue;
        CAPTURE(impl.name);
        CAPTURE(at);
        std::vector<float> x(20, 1.f), y(20), scratch(static_cast<size_t>(softmax_scratch(1, 20)));
        const float weight = 1;
        x[at] = bad;
        impl.run({1, 20, 20, 20, 1}, x.data(), &weight, y.data(), scratch.data());
        for (const float v : y) CHECK(std::isnan(v));
      }
}
