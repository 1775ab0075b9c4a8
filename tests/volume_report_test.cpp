#include "lgmsnet/training/volume_report.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/support/testing.h"

using namespace lgms;
using nn::EmptyPolicy;

namespace {

constexpr std::array<double, 3> kMm{1, 2, 3};

Tensor row(const std::vector<uint8_t>& labels) {
  return Tensor::from({1, 1, static_cast<int64_t>(labels.size()), 1}, labels);
}

// a: 1 half found, 2 exact; b: 1 missed, 2 in neither; c: 1 exact, 2 invented; d: 1 and 2 in neither.
VolumeReport example(EmptyPolicy policy) {
  VolumeReport report({"background", "one, two", "say \"2\""}, policy, 1);
  report.add("a", row({0, 1, 0, 2, 2, 0}), row({0, 1, 1, 2, 2, 0}), kMm);
  report.add("b", row({0, 0, 0, 0, 0, 0}), row({0, 1, 1, 0, 0, 0}), kMm);
  report.add("c", row({0, 1, 1, 2, 0, 0}), row({0, 1, 1, 0, 0, 0}), kMm);
  report.add("d", row({0, 0, 0, 0, 0, 0}), row({0, 0, 0, 0, 0, 0}), kMm);
  return report;
}

double dice_of(const VolumeReport& report, size_t k) { return report.of_class(k).mean[0]; }

}  // namespace

TEST_CASE("volume report: means over cases by policy, with the counts of what they are of") {
  const VolumeReport exclude = example(EmptyPolicy::exclude);
  const ClassSummary one = exclude.of_class(1), two = exclude.of_class(2);
  CHECK(one.mean[0] == doctest::Approx((2.0 / 3 + 0 + 1) / 3));  // d is left out
  CHECK(one.cases[0] == 3);
  CHECK(one.mean[2] == 1);  // precision: of b it is 0 / 0
  CHECK(one.cases[2] == 2);
  CHECK(one.mean[5] == doctest::Approx((3 * 0.95 + 0) / 2));  // hd95_max of a: 0 and 3 mm; of b infinite
  CHECK(one.cases[5] == 2);
  CHECK(one.both == 2);
  CHECK(one.missed == 1);
  CHECK(one.neither == 1);
  CHECK(one.invented == 0);
  CHECK(two.mean[0] == doctest::Approx(0.5));  // a 1, c 0
  CHECK(two.cases[0] == 2);
  CHECK(two.neither == 2);
  CHECK(two.invented == 1);
  CHECK(dice_of(example(EmptyPolicy::one), 1) == doctest::Approx((2.0 / 3 + 0 + 1 + 1) / 4));
  CHECK(dice_of(example(EmptyPolicy::zero), 1) == doctest::Approx((2.0 / 3 + 0 + 1 + 0) / 4));
  CHECK(example(EmptyPolicy::one).of_class(2).cases[5] == 3);   // a, b and d; in neither: 0 mm
  CHECK(example(EmptyPolicy::zero).of_class(2).cases[5] == 1);  // a
}

TEST_CASE("volume report: means over classes with and without the background; the worst cases") {
  const VolumeReport report = example(EmptyPolicy::exclude);
  const double background = (2.0 * 2 / 5 + 2.0 * 4 / 10 + 2.0 * 3 / 7 + 1) / 4;
  CHECK(dice_of(report, 0) == doctest::Approx(background));
  CHECK(report.mean(false)[0] == doctest::Approx((5.0 / 9 + 0.5) / 2));
  CHECK(report.mean(true)[0] == doctest::Approx((background + 5.0 / 9 + 0.5) / 3));
  CHECK(std::isnan(report.mean(true)[4]));
  CHECK(std::isfinite(report.mean(false)[4]));
  CHECK(report.worst() == std::vector<size_t>{1, 2, 0});  // b 0, c 0.5, a 5 / 6; d has none
  const VolumeReport nothing({"background", "x"}, EmptyPolicy::exclude, 1);
  CHECK(std::isnan(nothing.mean(false)[0]));
  CHECK(nothing.worst().empty());
}

TEST_CASE("volume report: JSON and CSV say the same, with names of any kind") {
  const VolumeReport report = example(EmptyPolicy::exclude);
  const auto json = nlohmann::json::parse(report.to_json());
  CHECK(json["foreground_mean"]["dice"].get<double>() == report.mean(false)[0]);
  CHECK(json["mean"].size() == kOverlapScores);
  CHECK(json["classes"]["one, two"]["cases"]["dice"] == 3);
  CHECK(json["classes"]["one, two"]["label_in"]["truth_alone"] == 1);
  CHECK(json["empty_policy"] == "exclude");
  CHECK(json["tolerance_mm"] == 1.0);
  CHECK(json["cases"].size() == 4);
  CHECK(json["cases"][1]["classes"]["one, two"]["hd95_max"].is_null());
  CHECK(json["cases"][1]["classes"]["one, two"]["fn"] == 2);
  CHECK(json["cases"][3]["foreground_dice"].is_null());
  const std::string csv = report.to_csv();
  CHECK(csv.starts_with("case,class,tp,fp,fn,tn,dice,iou,precision,recall,surface_dice,hd95_max,hd95_pooled\n"));
  CHECK(csv.find("\na,\"say \"\"2\"\"\",2,0,0,4,1,1,1,1,1,0,0\n") != std::string::npos);
  CHECK(csv.find("\nb,\"one, two\",0,0,2,4,0,0,,0,0,inf,inf\n") != std::string::npos);
  CHECK(csv.find("\nd,\"one, two\",0,0,0,6,,,,,,,\n") != std::string::npos);
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 13);
}

TEST_CASE("volume report: refuses what makes no sense") {
  CHECK(testing::error_of([] { empty_policy_named("two"); }) ==
        "[empty policy] expected exclude, one or zero, got two");
  CHECK(empty_policy_named("zero") == EmptyPolicy::zero);
  CHECK_THROWS(VolumeReport({"background"}, EmptyPolicy::one, 1));
  VolumeReport report({"background", "x"}, EmptyPolicy::one, 1);
  CHECK_THROWS(report.add("a", row({0, 2}), row({0, 1}), kMm));
  CHECK_THROWS(report.add("a", row({0, 1, 0}), row({0, 1}), kMm));
  CHECK(report.cases().empty());
}
