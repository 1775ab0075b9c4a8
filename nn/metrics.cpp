#include "nn/metrics.h"

#include "core/error.h"

namespace lgms::nn {
namespace {

template <class T>
Counts count_rows(const TensorView& predicted, const TensorView& truth, double threshold, int64_t channel) {
  const T* p = predicted.data<T>() + channel;
  const T* t = truth.data<T>() + channel;
  int64_t cells[2][2] = {};  // [predicted][true]
  for (int64_t r = 0; r < truth.rows(); ++r, p += predicted.row_stride(), t += truth.row_stride())
    ++cells[static_cast<double>(*p) > threshold][static_cast<double>(*t) > 0.5];
  return {cells[1][1], cells[1][0], cells[0][1], cells[0][0]};
}

}  // namespace

Counts count(const TensorView& predicted, const TensorView& truth, double threshold, int64_t channel) {
  check(predicted.shape() == truth.shape() && predicted.dtype() == truth.dtype(), ErrorKind::usage,
        "[metrics] truth: expected ", predicted.dtype(), " ", predicted.shape(), ", got ", truth.dtype(), " ",
        truth.shape());
  check(channel >= 0 && channel < truth.channels(), ErrorKind::usage, "[metrics] channel: expected one below ",
        truth.channels(), ", got ", channel);
  return truth.dtype() == DType::f64 ? count_rows<double>(predicted, truth, threshold, channel)
                                     : count_rows<float>(predicted, truth, threshold, channel);
}

Scores scores(const Counts& c) {
  if (c.tp + c.fp + c.fn == 0) return {1, 1, 1, 1};
  const auto share = [tp = static_cast<double>(c.tp)](double weight, int64_t rest) {
    const double all = weight * tp + static_cast<double>(rest);
    return all == 0 ? 0 : weight * tp / all;
  };
  return {share(2, c.fp + c.fn), share(1, c.fp + c.fn), share(1, c.fp), share(1, c.fn)};
}

PaperScores paper_scores(const Counts& counts) {
  const double both = static_cast<double>(counts.tp), either = static_cast<double>(counts.tp + counts.fp + counts.fn);
  PaperScores s{};
  s.iou = (both + 1e-5) / (either + 1e-5);
  s.dice = 2 * s.iou / (s.iou + 1);
  const bool empty = counts.tp + counts.fn == 0;
  const Counts c = empty ? Counts{counts.fp, 0, counts.tn, 0} : counts;
  const auto share = [](int64_t part, int64_t rest) {
    return static_cast<double>(part) / (static_cast<double>(part + rest) + 1e-6);
  };
  s.se = share(c.tp, c.fn);
  s.pc = share(c.tp, c.fp);
  s.sp = share(c.tn, c.fp);
  s.f1 = 2 * s.se * s.pc / (s.se + s.pc + 1e-6);
  const int64_t pixels = c.tp + c.fp + c.fn + c.tn;
  s.acc = pixels == 0 ? 0 : static_cast<double>(c.tp + c.tn) / static_cast<double>(pixels);
  return s;
}

}  // namespace lgms::nn
