#pragma once
// How well a model's masks of pictures agree with the truth: scores of every picture and class, and their means.
#include <string>
#include <vector>

#include "core/io/json.h"
#include "lgmsnet/predictor.h"
#include "nn/data/dataset.h"
#include "nn/metrics.h"

namespace lgms {

// Counts of every class of a picture: what the predictor, at its recipe's threshold, makes of example.image against
// example.masks, at the picture's own size or on the grid of the network's input, where training scores.
std::vector<nn::Counts> count_masks(const Predictor& predictor, const nn::Example& example, bool network_grid);

class PictureReport {
 public:
  // Names of the classes, one per mask.
  explicit PictureReport(std::vector<std::string> classes) : classes_(std::move(classes)), of_class_(classes_.size()) {}

  // counts: of every class, as count_masks has them.
  void add(const std::string& stem, const std::vector<nn::Counts>& counts);
  int64_t size() const { return std::ssize(images_); }

  // mean (nn::scores) and paper (nn::paper_scores): means over pictures of means over classes; classes: of each, the
  // mean over pictures. Of at least one picture.
  io::Json means() const;
  // Of every picture its stem and scores, and of each class where there are several.
  const std::vector<io::Json>& images() const { return images_; }

 private:
  std::vector<std::string> classes_;
  std::vector<io::Json> images_, scores_, paper_;
  std::vector<std::vector<io::Json>> of_class_;
};

}  // namespace lgms
