#include "nn/metrics.h"

#include <limits>

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

std::vector<Counts> count_labels(const TensorView& predicted, const TensorView& truth, int64_t classes) {
  check(predicted.shape() == truth.shape() && predicted.dtype() == DType::u8 && truth.dtype() == DType::u8 &&
            truth.channels() == 1,
        ErrorKind::usage, "[metrics] labels: expected u8 [..., 1] twice, got ", predicted.dtype(), " ",
        predicted.shape(), " and ", truth.dtype(), " ", truth.shape());
  check(classes > 0 && classes <= 256, ErrorKind::usage, "[metrics] classes: expected 1 to 256, got ", classes);
  std::vector<int64_t> pairs(256 * 256);  // [predicted][true]
  const uint8_t *p = predicted.data<uint8_t>(), *t = truth.data<uint8_t>();
  for (int64_t r = 0; r < truth.rows(); ++r) ++pairs[p[r * predicted.row_stride()] * 256 + t[r * truth.row_stride()]];

  std::vector<int64_t> of_predicted(256), of_truth(256);
  for (size_t i = 0; i < pairs.size(); ++i) {
    of_predicted[i / 256] += pairs[i];
    of_truth[i % 256] += pairs[i];
  }
  for (size_t k = static_cast<size_t>(classes); k < 256; ++k)
    check(of_predicted[k] + of_truth[k] == 0, ErrorKind::data, "[metrics] labels: expected 0 to ", classes - 1,
          ", got ", k, " in the ", of_truth[k] > 0 ? "truth" : "prediction");
  std::vector<Counts> counts;
  for (size_t k = 0; k < static_cast<size_t>(classes); ++k) {
    const int64_t tp = pairs[k * 257], fp = of_predicted[k] - tp, fn = of_truth[k] - tp;
    counts.push_back({tp, fp, fn, truth.rows() - tp - fp - fn});
  }
  return counts;
}

Scores scores(const Counts& c, EmptyPolicy policy) {
  const bool empty = c.tp + c.fp + c.fn == 0;
  const double undefined =
      policy == EmptyPolicy::exclude ? std::numeric_limits<double>::quiet_NaN() : policy == EmptyPolicy::one && empty;
  const auto share = [=, tp = static_cast<double>(c.tp)](double weight, int64_t rest) {
    const double all = weight * tp + static_cast<double>(rest);
    return all == 0 ? undefined : weight * tp / all;
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
