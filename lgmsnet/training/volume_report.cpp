#include "lgmsnet/training/volume_report.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "core/io/json.h"
#include "nn/surface_metrics.h"

namespace lgms {
namespace {

using io::Json;

constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
constexpr std::array<const char*, 3> kPolicies{"exclude", "one", "zero"};  // in the order of EmptyPolicy

// The mean of the finite ones among values, and how many those are.
struct Mean {
  double sum = 0;
  int64_t n = 0;
  void add(double value) {
    if (!std::isfinite(value)) return;
    sum += value;
    ++n;
  }
  double value() const { return n == 0 ? kUndefined : sum / static_cast<double>(n); }
};

Json to_json(const ScoreValues& values, size_t first, size_t last) {
  Json json;
  for (size_t i = first; i < last; ++i) json[kScoreNames[i]] = values[i];  // NaN and infinity are written as null
  return json;
}

size_t scores_of(size_t label) { return label == 0 ? kOverlapScores : kScoreNames.size(); }

std::string cell(double value) {
  if (std::isnan(value)) return "";
  char digits[32];
  return {digits, std::to_chars(digits, digits + sizeof digits, value).ptr};
}

std::string cell(const std::string& name) {
  if (name.find_first_of(",\"\r\n") == std::string::npos) return name;
  std::string quoted = "\"";
  for (char c : name) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

}  // namespace

nn::EmptyPolicy empty_policy_named(std::string_view name) {
  const auto found = std::find(kPolicies.begin(), kPolicies.end(), name);
  check(found != kPolicies.end(), ErrorKind::usage, "[empty policy] expected exclude, one or zero, got ", name);
  return static_cast<nn::EmptyPolicy>(found - kPolicies.begin());
}

VolumeReport::VolumeReport(std::vector<std::string> classes, nn::EmptyPolicy policy, double tolerance)
    : classes_(std::move(classes)), policy_(policy), tolerance_(tolerance) {
  check(classes_.size() >= 2 && classes_.size() <= 256, ErrorKind::usage,
        "[report] classes: expected 2 to 256, background included, got ", classes_.size());
}

void VolumeReport::add(const std::string& name, const TensorView& predicted, const TensorView& truth,
                       const std::array<double, 3>& spacing) {
  CaseScores here{name, {}, 0};
  Mean foreground;
  for (const nn::Counts& counts : nn::count_labels(predicted, truth, static_cast<int64_t>(classes_.size()))) {
    const nn::Scores s = nn::scores(counts, policy_);
    const size_t k = here.classes.size();
    nn::SurfaceScores surface{kUndefined, kUndefined, kUndefined};
    if (k > 0) {
      surface = nn::surface_scores(predicted, truth, static_cast<uint8_t>(k), spacing, tolerance_, policy_);
      foreground.add(s.dice);
    }
    here.classes.push_back(
        {counts, {s.dice, s.iou, s.precision, s.recall, surface.surface_dice, surface.hd95_max, surface.hd95_pooled}});
  }
  here.foreground_dice = foreground.value();
  cases_.push_back(std::move(here));
}

ClassSummary VolumeReport::of_class(size_t k) const {
  ClassSummary summary{};
  std::array<Mean, kScoreNames.size()> means;
  for (const CaseScores& one : cases_) {
    const auto& [c, values] = one.classes[k];
    for (size_t i = 0; i < means.size(); ++i) means[i].add(values[i]);
    const bool in_truth = c.tp + c.fn > 0, in_prediction = c.tp + c.fp > 0;
    ++(in_truth ? in_prediction ? summary.both : summary.missed : in_prediction ? summary.invented : summary.neither);
  }
  for (size_t i = 0; i < means.size(); ++i) {
    summary.mean[i] = means[i].value();
    summary.cases[i] = means[i].n;
  }
  return summary;
}

ScoreValues VolumeReport::mean(bool with_background) const {
  std::array<Mean, kScoreNames.size()> means;
  for (size_t k = with_background ? 0 : 1; k < classes_.size(); ++k) {
    const ScoreValues of_class_k = of_class(k).mean;
    for (size_t i = 0; i < scores_of(with_background ? 0 : 1); ++i) means[i].add(of_class_k[i]);
  }
  ScoreValues all;
  for (size_t i = 0; i < all.size(); ++i) all[i] = means[i].value();
  return all;
}

std::vector<size_t> VolumeReport::worst() const {
  std::vector<size_t> order;
  for (size_t i = 0; i < cases_.size(); ++i)
    if (!std::isnan(cases_[i].foreground_dice)) order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return cases_[a].foreground_dice < cases_[b].foreground_dice; });
  return order;
}

std::string VolumeReport::to_json() const {
  Json report = Json::object({{"foreground_mean", lgms::to_json(mean(false), 0, kScoreNames.size())},
                              {"mean", lgms::to_json(mean(true), 0, kOverlapScores)}});
  for (size_t k = 0; k < classes_.size(); ++k) {
    const ClassSummary summary = of_class(k);
    Json& json = report["classes"][classes_[k]] = lgms::to_json(summary.mean, 0, scores_of(k));
    for (size_t i = 0; i < scores_of(k); ++i) json["cases"][kScoreNames[i]] = summary.cases[i];
    json["label_in"] = Json::object({{"both", summary.both},
                                     {"neither", summary.neither},
                                     {"truth_alone", summary.missed},
                                     {"prediction_alone", summary.invented}});
  }
  report["empty_policy"] = kPolicies[static_cast<size_t>(policy_)];
  report["tolerance_mm"] = tolerance_;
  report["definitions"] = Json::object({
      {"foreground_mean", "mean over the classes but the background of their means over cases"},
      {"mean", "the same with the background, which has no surface scores"},
      {"classes", "means over the cases with a finite score, whose number is under cases"},
      {"empty_policy",
       "a score that is 0 / 0: exclude leaves it out; one is 1 where truth and prediction are both "
       "empty (distances 0), else 0; zero is 0 (distances are left out)"},
      {"dice", "2 TP / (2 TP + FP + FN), of voxels"},
      {"iou", "TP / (TP + FP + FN)"},
      {"precision", "TP / (TP + FP)"},
      {"recall", "TP / (TP + FN)"},
      {"surface_dice",
       "share of both surfaces, by area, within tolerance_mm of the other, as surface-distance; 0 "
       "where one volume lacks the label"},
      {"hd95_max",
       "mm; larger of the two directed 95th percentiles of the distances between surface voxels, as MONAI; "
       "null where a volume lacks the label"},
      {"hd95_pooled", "mm; 95th percentile of both directions together, as medpy; null where a volume lacks the label"},
  });
  report["cases"] = Json::array();
  for (const CaseScores& one : cases_) {
    Json json = Json::object({{"case", one.name}, {"foreground_dice", one.foreground_dice}});
    for (size_t k = 0; k < classes_.size(); ++k) {
      const auto& [c, values] = one.classes[k];
      Json& scores = json["classes"][classes_[k]] = lgms::to_json(values, 0, scores_of(k));
      scores["tp"] = c.tp;
      scores["fp"] = c.fp;
      scores["fn"] = c.fn;
      scores["tn"] = c.tn;
    }
    report["cases"].push_back(json);
  }
  return report.dump(2) + '\n';
}

std::string VolumeReport::to_csv() const {
  std::string csv = "case,class,tp,fp,fn,tn";
  for (const char* name : kScoreNames) csv += text(',', name);
  csv += '\n';
  for (const CaseScores& one : cases_)
    for (size_t k = 0; k < classes_.size(); ++k) {
      const auto& [c, values] = one.classes[k];
      csv += text(cell(one.name), ',', cell(classes_[k]), ',', c.tp, ',', c.fp, ',', c.fn, ',', c.tn);
      for (double value : values) csv += ',' + cell(value);
      csv += '\n';
    }
  return csv;
}

}  // namespace lgms
