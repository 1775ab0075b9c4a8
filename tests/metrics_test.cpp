#include "nn/metrics.h"

#include <cmath>

#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::nn;

TEST_CASE("metrics: pixels are counted per channel, with strides") {
  Tensor p = Tensor::from({1, 2, 3}, std::vector<float>{1, -1, 2, 0, -3, 4}).reshaped({2, 3});
  const Tensor t = Tensor::from({2, 3}, std::vector<float>{1, 1, 0, 0, 1, 1});
  CHECK(count(p, t, 0, 0) == Counts{1, 0, 0, 1});
  CHECK(count(p, t, 0, 1) == Counts{0, 0, 2, 0});
  CHECK(count(p, t, 0, 2) == Counts{1, 1, 0, 0});
  CHECK(count(p.slice(1, 2), t.slice(1, 2), 0, 1) == Counts{1, 1, 0, 0});
  CHECK(testing::error_of([&] { count(p, t.slice(0, 2), 0); }) ==
        "[metrics] truth: expected f32 [2, 3], got f32 [2, 2]");
}

TEST_CASE("metrics: plain scores, and the rule for empty masks") {
  const Scores s = scores({3, 1, 2, 10});
  CHECK(s.dice == doctest::Approx(6.0 / 9));
  CHECK(s.iou == doctest::Approx(3.0 / 6));
  CHECK(s.precision == doctest::Approx(3.0 / 4));
  CHECK(s.recall == doctest::Approx(3.0 / 5));
  for (const Counts& empty : {Counts{0, 0, 0, 5}, Counts{}}) {
    const Scores both = scores(empty);
    CHECK(both.dice == 1);
    CHECK(both.iou == 1);
    CHECK(both.precision == 1);
    CHECK(both.recall == 1);
  }
  const Scores missed = scores({0, 0, 4, 1}), invented = scores({0, 4, 0, 1});
  CHECK(missed.dice == 0);
  CHECK(missed.precision == 0);  // 0 / 0
  CHECK(invented.recall == 0);   // 0 / 0
}

TEST_CASE("metrics: what 0 / 0 is, by policy") {
  const Counts both{0, 0, 0, 5}, missed{0, 0, 4, 1}, invented{0, 4, 0, 1};
  CHECK(std::isnan(scores(both, EmptyPolicy::exclude).dice));
  CHECK(std::isnan(scores(both, EmptyPolicy::exclude).recall));
  CHECK(std::isnan(scores(missed, EmptyPolicy::exclude).precision));
  CHECK(std::isnan(scores(invented, EmptyPolicy::exclude).recall));
  for (EmptyPolicy policy : {EmptyPolicy::exclude, EmptyPolicy::one, EmptyPolicy::zero}) {
    CHECK(scores(missed, policy).dice == 0);
    CHECK(scores(missed, policy).recall == 0);
    CHECK(scores(invented, policy).iou == 0);
    CHECK(scores(invented, policy).precision == 0);
  }
  CHECK(scores(both, EmptyPolicy::one).precision == 1);
  CHECK(scores(missed, EmptyPolicy::one).precision == 0);
  CHECK(scores(both, EmptyPolicy::zero).dice == 0);
  CHECK(scores(invented, EmptyPolicy::zero).recall == 0);
}

TEST_CASE("metrics: labels are counted all at once") {
  const Tensor p = Tensor::from({2, 3, 1}, std::vector<uint8_t>{0, 1, 2, 2, 1, 0});
  const Tensor t = Tensor::from({2, 3, 1}, std::vector<uint8_t>{0, 1, 1, 2, 0, 0});
  CHECK(count_labels(p, t, 4) == std::vector<Counts>{{2, 0, 1, 3}, {1, 1, 1, 3}, {1, 1, 0, 4}, {0, 0, 0, 6}});
  CHECK(testing::error_of([&] { count_labels(p, t, 2); }) == "[metrics] labels: expected 0 to 1, got 2 in the truth");
  CHECK(testing::error_of([&] {
          count_labels(p, Tensor::zeros({2, 3, 1}, DType::u8), 2);
        }) == "[metrics] labels: expected 0 to 1, got 2 in the prediction");
  CHECK(testing::error_of([&] { count_labels(p, t.to(DType::f32), 2); }).starts_with("[metrics] labels: expected u8"));
}

TEST_CASE("metrics: the paper's scores count an empty truth as all foreground") {
  const PaperScores s = paper_scores({3, 1, 2, 10});
  CHECK(s.iou == doctest::Approx((3 + 1e-5) / (6 + 1e-5)).epsilon(1e-12));
  CHECK(s.dice == doctest::Approx(2 * s.iou / (s.iou + 1)).epsilon(1e-12));
  CHECK(s.se == doctest::Approx(3 / (5 + 1e-6)).epsilon(1e-12));
  CHECK(s.pc == doctest::Approx(3 / (4 + 1e-6)).epsilon(1e-12));
  CHECK(s.sp == doctest::Approx(10 / (11 + 1e-6)).epsilon(1e-12));
  CHECK(s.acc == doctest::Approx(13.0 / 16));
  const PaperScores empty = paper_scores({0, 3, 0, 7});
  CHECK(empty.iou == doctest::Approx(1e-5 / (3 + 1e-5)).epsilon(1e-12));
  CHECK(empty.se == doctest::Approx(3 / (10 + 1e-6)).epsilon(1e-12));
  CHECK(empty.pc == doctest::Approx(3 / (3 + 1e-6)).epsilon(1e-12));
  CHECK(empty.sp == 0);
  CHECK(empty.acc == doctest::Approx(0.3));
}
