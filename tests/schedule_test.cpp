#include "nn/schedule.h"

#include <cmath>

#include "tests/support/testing.h"

using namespace lgms::nn;

TEST_CASE("schedule: poly runs iterations 0 and 1 at base, and falls as (1 - (i - 1) / T)^0.9") {
  CHECK(poly_rate(0.02, 0, 10) == 0.02);
  CHECK(poly_rate(0.02, 1, 10) == 0.02);
  CHECK(poly_rate(0.02, 2, 10) == doctest::Approx(0.02 * std::pow(0.9, 0.9)).epsilon(1e-15));
  CHECK(poly_rate(0.02, 9, 10) == doctest::Approx(0.02 * std::pow(0.2, 0.9)).epsilon(1e-15));
  for (int64_t i = 2; i < 10; ++i) CHECK(poly_rate(1, i, 10) < poly_rate(1, i - 1, 10));
}

TEST_CASE("schedule: the paper's warm-up starts at 0, reaches base at its last epoch, then follows the cosine") {
  CHECK(warm_up_cosine_epoch_rate(1e-3, 0, 5000, 50) == 0);
  CHECK(warm_up_cosine_epoch_rate(1e-3, 49, 5000, 50) == 1e-3);
  CHECK(warm_up_cosine_epoch_rate(1e-3, 50, 5000, 50) == 1e-3);
  CHECK(warm_up_cosine_epoch_rate(1e-3, 2525, 5000, 50) == doctest::Approx(0.5e-3));
  CHECK(warm_up_cosine_epoch_rate(1e-3, 4999, 5000, 50) < 1e-9);
}

TEST_CASE("schedule: the corrected warm-up takes 5 % of the iterations and never runs at 0") {
  CHECK(warm_up_cosine_rate(1, 0, 100) == doctest::Approx(0.2));
  CHECK(warm_up_cosine_rate(1, 4, 100) == 1);
  CHECK(warm_up_cosine_rate(1, 5, 100) == 1);
  for (int64_t total : {1, 2, 19, 100})
    for (int64_t i = 0; i < total; ++i) CHECK(warm_up_cosine_rate(1, i, total) > 0);
}
