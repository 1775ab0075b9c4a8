#include "core/transform/components.h"

#include <array>
#include <limits>
#include <vector>

#include "core/context.h"
#include "core/error.h"

namespace lgms::transform {
namespace {

// Union-find over the voxels: a root holds minus the size of its component, another voxel one nearer to its root. The
// root is the component's first voxel.
class Forest {
 public:
  Forest(const Tensor& labels, Neighbours neighbours)
      : memory_(Context::current().memory(), labels.numel() * int64_t{sizeof(int32_t)}),
        parent_(memory_.as<int32_t>()) {
    const int64_t depth = labels.shape()[0], height = labels.shape()[1], width = labels.shape()[2];
    const uint8_t* const label = labels.data<uint8_t>();
    struct Step {
      int64_t d, h, w;
    };
    std::vector<Step> earlier;  // neighbours before a voxel in memory
    for (int64_t d = -1; d <= 0; ++d)
      for (int64_t h = -1; h <= 1; ++h)
        for (int64_t w = -1; w <= 1; ++w)
          if ((d * 3 + h) * 3 + w < 0 && (neighbours == Neighbours::corners || d * d + h * h + w * w == 1))
            earlier.push_back({d, h, w});
    int64_t v = 0;
    for (int64_t d = 0; d < depth; ++d)
      for (int64_t h = 0; h < height; ++h)
        for (int64_t w = 0; w < width; ++w, ++v) {
          if (label[v] == 0) continue;
          parent_[v] = -1;
          for (const Step& s : earlier) {
            if (d + s.d < 0 || h + s.h < 0 || h + s.h >= height || w + s.w < 0 || w + s.w >= width) continue;
            const int64_t other = v + (s.d * height + s.h) * width + s.w;
            if (label[other] == label[v]) unite(static_cast<int32_t>(other), static_cast<int32_t>(v));
          }
        }
  }

  int32_t root(int32_t v) const {
    while (parent_[v] >= 0) {
      const int32_t up = parent_[v];
      if (parent_[up] >= 0) parent_[v] = parent_[up];
      v = up;
    }
    return v;
  }
  int64_t size(int32_t root) const { return -int64_t{parent_[root]}; }

 private:
  void unite(int32_t a, int32_t b) {
    a = root(a);
    b = root(b);
    if (a == b) return;
    if (b < a) std::swap(a, b);
    parent_[a] += parent_[b];
    parent_[b] = a;
  }

  Scratch memory_;
  int32_t* parent_;
};

void expect_labels(const char* op, const Tensor& labels) {
  check(labels.shape().rank() == 4 && labels.channels() == 1 && labels.dtype() == DType::u8 && labels.is_dense() &&
            labels.numel() < std::numeric_limits<int32_t>::max(),
        ErrorKind::usage, "[", op, "] labels: expected dense u8 [D, H, W, 1] of less than 2^31 voxels, got ",
        labels.dtype(), " ", labels.shape());
}

// keep(label, root) for every voxel that has a label.
template <class Keep>
int64_t remove_unless(const Tensor& labels, const Forest& forest, const Keep& keep) {
  int64_t removed = 0;
  for (int32_t v = 0; v < labels.numel(); ++v) {
    uint8_t& label = labels.data<uint8_t>()[v];
    if (label == 0 || keep(label, forest.root(v))) continue;
    label = 0;
    ++removed;
  }
  return removed;
}

}  // namespace

int64_t keep_largest(const Tensor& labels, Neighbours neighbours) {
  expect_labels("keep_largest", labels);
  const Forest forest(labels, neighbours);
  std::array<int32_t, 256> largest;
  largest.fill(-1);
  for (int32_t v = 0; v < labels.numel(); ++v) {
    int32_t& best = largest[labels.data<uint8_t>()[v]];
    if (labels.data<uint8_t>()[v] != 0 && forest.root(v) == v && (best < 0 || forest.size(v) > forest.size(best)))
      best = v;
  }
  return remove_unless(labels, forest, [&](uint8_t label, int32_t root) { return largest[label] == root; });
}

int64_t remove_small(const Tensor& labels, int64_t voxels, Neighbours neighbours) {
  expect_labels("remove_small", labels);
  const Forest forest(labels, neighbours);
  return remove_unless(labels, forest, [&](uint8_t, int32_t root) { return forest.size(root) >= voxels; });
}

}  // namespace lgms::transform
