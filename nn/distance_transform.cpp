#include "nn/distance_transform.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/context.h"
#include "core/error.h"

namespace lgms::nn {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kColumns = 8;  // a cache line of doubles

// f[i] = min over j of f[j] + ((i - j) step)^2, in place: the lower envelope of one parabola per finite f[j].
class Envelope {
 public:
  Envelope(int64_t n, double step)
      : n_(n), step_(step), values_(static_cast<size_t>(n)), vertex_(values_.size()), from_(values_.size()) {}

  void apply(double* f) {
    std::copy_n(f, n_, values_.begin());
    int64_t last = -1;  // parabola k of the envelope has its vertex at vertex_[k] and is lowest from from_[k] on
    for (int64_t j = 0; j < n_; ++j) {
      if (values_[at(j)] == kInfinity) continue;
      double start = -kInfinity;
      while (last >= 0 && (start = crossing(vertex_[at(last)], j)) <= from_[at(last)]) --last;  // never the first
      vertex_[at(++last)] = j;
      from_[at(last)] = start;
    }
    if (last < 0) return;
    for (int64_t i = 0, k = 0; i < n_; ++i) {
      while (k < last && from_[at(k + 1)] < static_cast<double>(i)) ++k;
      const double away = static_cast<double>(i - vertex_[at(k)]) * step_;
      f[i] = values_[at(vertex_[at(k)])] + away * away;
    }
  }

 private:
  static size_t at(int64_t i) { return static_cast<size_t>(i); }
  // Where the parabola of b > a takes over from that of a, in voxels.
  double crossing(int64_t a, int64_t b) const {
    const double rise = values_[at(b)] - values_[at(a)];
    return 0.5 * (rise / (step_ * step_ * static_cast<double>(b - a)) + static_cast<double>(a + b));
  }

  int64_t n_;
  double step_;
  std::vector<double> values_;
  std::vector<int64_t> vertex_;
  std::vector<double> from_;
};

// Columns [first, last) of y [n, width]: y = (steps to the nearest seed of the column * step)^2, in two sweeps.
void along_columns(const uint8_t* seeds, double* y, int64_t n, int64_t width, int64_t first, int64_t last,
                   double step) {
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = first; j < last; ++j)
      y[i * width + j] = seeds[i * width + j] != 0 ? 0 : i == 0 ? kInfinity : y[(i - 1) * width + j] + 1;
  for (int64_t i = n; i-- > 0;)
    for (int64_t j = first; j < last; ++j) {
      double& here = y[i * width + j];
      if (i + 1 < n) here = std::min(here, y[(i + 1) * width + j] + 1);
    }
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = first; j < last; ++j) {
      const double away = y[i * width + j] * step;
      y[i * width + j] = away * away;
    }
}

}  // namespace

Tensor distance_transform(const TensorView& seeds, const std::array<double, 3>& spacing) {
  const Shape& shape = seeds.shape();
  check(shape.rank() == 4 && shape[3] == 1 && seeds.dtype() == DType::u8 && seeds.is_dense(), ErrorKind::usage,
        "[distance_transform] seeds: expected u8 [D, H, W, 1], got ", seeds.dtype(), " ", shape);
  for (double mm : spacing)
    check(mm > 0 && std::isfinite(mm), ErrorKind::usage, "[distance_transform] spacing: expected mm above 0, got ", mm);
  const int64_t d = shape[0], h = shape[1], w = shape[2];
  const Tensor distances = Tensor::empty(Device::cpu, shape, DType::f64);
  double* y = distances.data<double>();
  const uint8_t* x = seeds.data<uint8_t>();

  parallel_ranges(h * w, 1024,
                  [&](int64_t first, int64_t last, int) { along_columns(x, y, d, h * w, first, last, spacing[0]); });
  parallel_ranges(d, 1, [&](int64_t first, int64_t last, int) {
    Envelope along_h(h, spacing[1]), along_w(w, spacing[2]);
    std::vector<double> columns(static_cast<size_t>(h * kColumns));  // of one plane, one after another
    for (double* plane = y + first * h * w; plane < y + last * h * w; plane += h * w) {
      for (int64_t j = 0; j < w; j += kColumns) {
        const int64_t count = std::min(kColumns, w - j);
        for (int64_t i = 0; i < h; ++i)
          for (int64_t k = 0; k < count; ++k) columns[static_cast<size_t>(k * h + i)] = plane[i * w + j + k];
        for (int64_t k = 0; k < count; ++k) along_h.apply(columns.data() + k * h);
        for (int64_t i = 0; i < h; ++i)
          for (int64_t k = 0; k < count; ++k) plane[i * w + j + k] = columns[static_cast<size_t>(k * h + i)];
      }
      for (int64_t i = 0; i < h; ++i) along_w.apply(plane + i * w);
      for (int64_t i = 0; i < h * w; ++i) plane[i] = std::sqrt(plane[i]);
    }
  });
  return distances;
}

}  // namespace lgms::nn
