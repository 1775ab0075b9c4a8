#include "lgmsnet/label_statistics.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace lgms {

std::vector<LabelStatistics> label_statistics(const TensorView& labels, const Affine& affine, int64_t classes) {
  const Shape& s = labels.shape();
  check(s.rank() == 4 && labels.channels() == 1 && labels.dtype() == DType::u8 && labels.is_dense(), ErrorKind::usage,
        "[statistics] labels: expected dense u8 [D, H, W, 1], got ", labels.dtype(), " ", s);
  const Size3 size{s[2], s[1], s[0]};
  std::vector<LabelStatistics> all(static_cast<size_t>(std::max<int64_t>(classes, 1) - 1));
  std::vector<std::array<int64_t, 3>> sums(all.size());
  const uint8_t* next = labels.data<uint8_t>();
  Size3 at;
  for (at[2] = 0; at[2] < size[2]; ++at[2])
    for (at[1] = 0; at[1] < size[1]; ++at[1])
      for (at[0] = 0; at[0] < size[0]; ++at[0]) {
        const size_t label = *next++;
        if (label == 0 || label > all.size()) continue;
        LabelStatistics& of = all[label - 1];
        if (of.voxels++ == 0) of.first = of.last = at;
        for (size_t a = 0; a < 3; ++a) {
          of.first[a] = std::min(of.first[a], at[a]);
          of.last[a] = std::max(of.last[a], at[a]);
          sums[label - 1][a] += at[a];
        }
      }
  for (size_t i = 0; i < all.size(); ++i) {
    LabelStatistics& of = all[i];
    of.label = static_cast<int64_t>(i) + 1;
    of.millilitres = static_cast<double>(of.voxels) * voxel_volume(affine) / 1000;
    if (of.voxels == 0) continue;
    for (size_t a = 0; a < 3; ++a) {
      of.centroid[a] = static_cast<double>(sums[i][a]) / static_cast<double>(of.voxels);
      of.touches_border = of.touches_border || of.first[a] == 0 || of.last[a] == size[a] - 1;
    }
    for (size_t a = 0; a < 3; ++a)
      of.centroid_mm[a] =
          affine[a][0] * of.centroid[0] + affine[a][1] * of.centroid[1] + affine[a][2] * of.centroid[2] + affine[a][3];
  }
  return all;
}

}  // namespace lgms
