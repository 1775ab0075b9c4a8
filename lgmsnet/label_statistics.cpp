#include "lgmsnet/label_statistics.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace lgms {
namespace {

// Of the voxels of one label.
struct Sums {
  LabelStatistics of;
  std::array<int64_t, 3> sum{};

  void add(const Size3& at) {
    if (of.voxels++ == 0) of.first = of.last = at;
    for (size_t a = 0; a < 3; ++a) {
      of.first[a] = std::min(of.first[a], at[a]);
      of.last[a] = std::max(of.last[a], at[a]);
      sum[a] += at[a];
    }
  }
  // size: (i, j, k) of all voxels; axes: along so many of these there is an outside.
  LabelStatistics finished(const Size3& size, size_t axes) const {
    LabelStatistics done = of;
    for (size_t a = 0; a < 3 && of.voxels > 0; ++a) {
      done.centroid[a] = static_cast<double>(sum[a]) / static_cast<double>(of.voxels);
      done.touches_border |= a < axes && (of.first[a] == 0 || of.last[a] == size[a] - 1);
    }
    return done;
  }
};

}  // namespace

std::vector<LabelStatistics> label_statistics(const TensorView& labels, const Affine& affine, int64_t classes) {
  const Shape& s = labels.shape();
  check(s.rank() == 4 && labels.channels() == 1 && labels.dtype() == DType::u8 && labels.is_dense(), ErrorKind::usage,
        "[statistics] labels: expected dense u8 [D, H, W, 1], got ", labels.dtype(), " ", s);
  std::vector<Sums> all(static_cast<size_t>(std::max<int64_t>(classes, 1) - 1));
  const uint8_t* next = labels.data<uint8_t>();
  Size3 at;
  for (at[2] = 0; at[2] < s[0]; ++at[2])
    for (at[1] = 0; at[1] < s[1]; ++at[1])
      for (at[0] = 0; at[0] < s[2]; ++at[0])
        if (const size_t label = *next++; label > 0 && label <= all.size()) all[label - 1].add(at);
  std::vector<LabelStatistics> statistics;
  for (Sums& sums : all) {
    LabelStatistics of = sums.finished({s[2], s[1], s[0]}, 3);
    of.label = std::ssize(statistics) + 1;
    of.millilitres = static_cast<double>(of.voxels) * voxel_volume(affine) / 1000;
    for (size_t a = 0; a < 3 && of.voxels > 0; ++a)
      of.centroid_mm[a] =
          affine[a][0] * of.centroid[0] + affine[a][1] * of.centroid[1] + affine[a][2] * of.centroid[2] + affine[a][3];
    statistics.push_back(of);
  }
  return statistics;
}

std::vector<LabelStatistics> mask_statistics(const TensorView& masks) {
  const Shape& s = masks.shape();
  check(s.rank() == 3 && masks.dtype() == DType::u8 && masks.is_dense(), ErrorKind::usage,
        "[statistics] masks: expected dense u8 [H, W, K], got ", masks.dtype(), " ", s);
  std::vector<Sums> all(static_cast<size_t>(masks.channels()));
  const uint8_t* next = masks.data<uint8_t>();
  for (int64_t row = 0; row < s[0]; ++row)
    for (int64_t column = 0; column < s[1]; ++column)
      for (Sums& of : all)
        if (*next++ != 0) of.add({column, row, 0});
  std::vector<LabelStatistics> statistics;
  for (const Sums& sums : all) {
    statistics.push_back(sums.finished({s[1], s[0], 1}, 2));
    statistics.back().label = std::ssize(statistics) - 1;
  }
  return statistics;
}

}  // namespace lgms
