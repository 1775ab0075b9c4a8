#pragma once
// Scores of masks against the truth, from four counts of pixels or voxels.
#include <cstdint>
#include <vector>

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

// The counts of every label k = 0 .. classes - 1 at once: voxels that are k in one or both of two label maps, u8 of one
// shape [..., 1]; the other labels are k's background. Throws Error{usage} where shapes or types differ, Error{data} on
// a label that is none of the classes.
std::vector<Counts> count_labels(const TensorView& predicted, const TensorView& truth, int64_t classes);

// What a score is where its formula is 0 / 0. exclude: NaN, for means to leave out; zero: 0; one: 1 where truth and
// prediction are both empty, else 0 (the precision of an empty prediction, the recall of an empty truth).
enum class EmptyPolicy { exclude, one, zero };

// Plain scores, in [0, 1]: Dice 2 TP / (2 TP + FP + FN), IoU TP / (TP + FP + FN), precision TP / (TP + FP), recall
// TP / (TP + FN). One rule for the empty masks of all four.
struct Scores {
  double dice, iou, precision, recall;
};
Scores scores(const Counts& counts, EmptyPolicy policy = EmptyPolicy::one);

// The scores of the published 2D code (paper-2d), with its quirks: IoU = (TP + 1e-5) / (TP + FP + FN + 1e-5), Dice =
// 2 IoU / (IoU + 1); for the others "foreground" is every pixel equal to the largest truth, so an empty truth counts as
// all foreground: SE = TP / (TP + FN + 1e-6), PC = TP / (TP + FP + 1e-6), SP = TN / (TN + FP + 1e-6), F1 = 2 SE PC /
// (SE + PC + 1e-6), ACC = (TP + TN) / pixels. Source: cq-dong/LGMSNet utils/metrics.py.
struct PaperScores {
  double iou, dice, se, pc, sp, acc, f1;
};
PaperScores paper_scores(const Counts& counts);

}  // namespace lgms::nn
