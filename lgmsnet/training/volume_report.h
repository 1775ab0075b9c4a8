#pragma once
// How well labels of volumes agree with the truth: scores of every case and class, their means, and the files of both.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "nn/metrics.h"

namespace lgms {

// "exclude", "one", "zero". Throws Error{usage} on another name.
nn::EmptyPolicy empty_policy_named(std::string_view name);

// Definitions: nn/metrics.h, nn/surface_metrics.h. The last three are of the surface.
inline constexpr std::array<const char*, 7> kScoreNames{"dice",         "iou",      "precision",  "recall",
                                                        "surface_dice", "hd95_max", "hd95_pooled"};
inline constexpr size_t kOverlapScores = 4;
using ScoreValues = std::array<double, kScoreNames.size()>;

// NaN: undefined, and left out by the policy; infinite: a distance where only one of the volumes has the label. The
// background has no surface scores: where it ends at the edge of the volume is no surface of anything.
struct ClassScores {
  nn::Counts counts;
  ScoreValues values;
};

struct CaseScores {
  std::string name;
  std::vector<ClassScores> classes;
  double foreground_dice;  // mean over the classes but the background that have one; NaN where none has
};

// Class k over all cases.
struct ClassSummary {
  ScoreValues mean;                                 // over the cases with a finite value, NaN where there is none
  std::array<int64_t, kScoreNames.size()> cases{};  // how many those are
  // Cases where the truth and the prediction, neither, the truth alone, the prediction alone has the label.
  int64_t both = 0, neither = 0, missed = 0, invented = 0;
};

class VolumeReport {
 public:
  // Names of the labels 0 (the background), 1, ...; the tolerance of surface_dice in mm.
  VolumeReport(std::vector<std::string> classes, nn::EmptyPolicy policy, double tolerance);

  // Scores a case: u8 [D, H, W, 1] twice, mm along (D, H, W). Throws as count_labels and surface_scores.
  void add(const std::string& name, const TensorView& predicted, const TensorView& truth,
           const std::array<double, 3>& spacing);

  const std::vector<std::string>& classes() const { return classes_; }
  const std::vector<CaseScores>& cases() const { return cases_; }
  ClassSummary of_class(size_t k) const;
  // Mean over the classes that have a mean. With the background, surface scores are NaN.
  ScoreValues mean(bool with_background) const;
  // Indices of the cases, those without a foreground Dice left out, the worst one first.
  std::vector<size_t> worst() const;

  // summary.json: foreground_mean, mean, classes, cases, and what the numbers mean. What is not finite is null.
  std::string to_json() const;
  // per_case.csv: a line per case and class; empty where undefined, inf where infinite.
  std::string to_csv() const;

 private:
  std::vector<std::string> classes_;
  nn::EmptyPolicy policy_;
  double tolerance_;
  std::vector<CaseScores> cases_;
};

}  // namespace lgms
