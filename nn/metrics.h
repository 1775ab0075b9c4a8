#pragma once
// Scores of a binary mask against the truth, from the four counts of pixels.
#include <cstdint>

#include "core/tensor.h"

namespace lgms::nn {

struct Counts {
  int64_t tp = 0, fp = 0, fn = 0, tn = 0;
  friend bool operator==(const Counts&, const Counts&) = default;
};

// Pixels of channel `channel` of two tensors of one shape [..., C], f32 or f64: prediction where predicted > threshold
// (logits: 0, probabilities: 0.5), truth where truth > 0.5. Strided tensors are fine.
// Throws Error{usage} where shapes or types differ.
Counts count(const TensorView& predicted, const TensorView& truth, double threshold, int64_t channel = 0);

// Plain scores, in [0, 1]: Dice 2 TP / (2 TP + FP + FN), IoU TP / (TP + FP + FN), precision TP / (TP + FP), recall
// TP / (TP + FN). Empty masks, one rule for all four: truth and prediction both empty score 1; else 0 / 0 is 0.
struct Scores {
  double dice, iou, precision, recall;
};
Scores scores(const Counts& counts);

// The scores of the published 2D code (paper-2d), with its quirks: IoU = (TP + 1e-5) / (TP + FP + FN + 1e-5), Dice =
// 2 IoU / (IoU + 1); for the others "foreground" is every pixel equal to the largest truth, so an empty truth counts as
// all foreground: SE = TP / (TP + FN + 1e-6), PC = TP / (TP + FP + 1e-6), SP = TN / (TN + FP + 1e-6), F1 = 2 SE PC /
// (SE + PC + 1e-6), ACC = (TP + TN) / pixels. Source: cq-dong/LGMSNet utils/metrics.py.
struct PaperScores {
  double iou, dice, se, pc, sp, acc, f1;
};
PaperScores paper_scores(const Counts& counts);

}  // namespace lgms::nn
