#include "lgmsnet/training/picture_report.h"

#include "core/error.h"
#include "lgmsnet/recipe.h"
#include "nn/data/mask.h"

namespace lgms {
namespace {

using io::Json;

Json to_json(const nn::Scores& s) {
  return Json::object({{"dice", s.dice}, {"iou", s.iou}, {"precision", s.precision}, {"recall", s.recall}});
}
Json to_json(const nn::PaperScores& s) {
  return Json::object(
      {{"iou", s.iou}, {"dice", s.dice}, {"se", s.se}, {"pc", s.pc}, {"sp", s.sp}, {"acc", s.acc}, {"f1", s.f1}});
}

// The mean of every number over equally shaped objects.
Json mean_of(const std::vector<Json>& all) {
  check(!all.empty(), ErrorKind::usage, "[report] expected a picture at least, got none");
  Json mean;
  for (const auto& [key, value] : all[0].members()) {
    double sum = 0;
    for (const Json& one : all) sum += one.find(key)->number();
    mean[key] = sum / static_cast<double>(all.size());
  }
  return mean;
}

}  // namespace

std::vector<nn::Counts> count_masks(const Predictor& predictor, const nn::Example& example, bool network_grid) {
  Tensor probabilities, truth;
  if (network_grid) {
    const Tensor logits = predictor.logits(example.image);
    probabilities = probabilities_at(logits, logits.shape()[2], logits.shape()[3]);
    truth = make_target(predictor.model().recipe, example.masks).reshaped(probabilities.shape());
  } else {
    probabilities = predictor.predict(example.image).probabilities;
    truth = masks_from(example.masks.to(DType::f32), nn::kMaskMiddle).to(DType::f32);
  }
  std::vector<nn::Counts> counts;
  for (int64_t k = 0; k < truth.channels(); ++k)
    counts.push_back(nn::count(probabilities, truth, predictor.model().recipe.threshold, k));
  return counts;
}

void PictureReport::add(const std::string& stem, const std::vector<nn::Counts>& counts) {
  check(counts.size() == classes_.size(), ErrorKind::usage, "[report] counts: expected those of ", classes_.size(),
        " class(es), got ", counts.size());
  std::vector<Json> here, here_paper;
  for (size_t k = 0; k < counts.size(); ++k) {
    here.push_back(to_json(nn::scores(counts[k])));
    here_paper.push_back(to_json(nn::paper_scores(counts[k])));
    of_class_[k].push_back(here[k]);
  }
  scores_.push_back(mean_of(here));
  paper_.push_back(mean_of(here_paper));
  Json image = Json::object({{"stem", stem}});
  for (const auto& [name, score] : scores_.back().members()) image[name] = score;
  if (classes_.size() > 1) image["classes"] = here;
  images_.push_back(std::move(image));
}

Json PictureReport::means() const {
  Json means = Json::object({{"mean", mean_of(scores_)}, {"paper", mean_of(paper_)}});
  for (size_t k = 0; k < classes_.size(); ++k) means["classes"][classes_[k]] = mean_of(of_class_[k]);
  return means;
}

}  // namespace lgms
