#include "core/transform/components.h"

#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;
using transform::Neighbours;

namespace {

Tensor labels_of(const Shape& shape, const std::vector<uint8_t>& values) { return Tensor::from(shape, values); }
std::vector<uint8_t> values_of(const Tensor& t) { return {t.span<uint8_t>().begin(), t.span<uint8_t>().end()}; }

// Flood fill: the component of every voxel, by its first voxel; -1 in the background.
std::vector<int64_t> flood(const Tensor& labels, Neighbours neighbours) {
  const int64_t depth = labels.shape()[0], height = labels.shape()[1], width = labels.shape()[2];
  const uint8_t* label = labels.data<uint8_t>();
  std::vector<int64_t> component(static_cast<size_t>(labels.numel()), -1), stack;
  for (int64_t v = 0; v < labels.numel(); ++v) {
    if (label[v] == 0 || component[static_cast<size_t>(v)] >= 0) continue;
    component[static_cast<size_t>(v)] = v;
    stack.push_back(v);
    while (!stack.empty()) {
      const int64_t u = stack.back(), d = u / (height * width), h = u / width % height, w = u % width;
      stack.pop_back();
      for (int64_t i = 0; i < 27; ++i) {
        const int64_t dd = i / 9 - 1, dh = i / 3 % 3 - 1, dw = i % 3 - 1;
        if (neighbours == Neighbours::faces && dd * dd + dh * dh + dw * dw > 1) continue;
        if (d + dd < 0 || d + dd >= depth || h + dh < 0 || h + dh >= height || w + dw < 0 || w + dw >= width) continue;
        const int64_t n = u + (dd * height + dh) * width + dw;
        if (label[n] != label[v] || component[static_cast<size_t>(n)] >= 0) continue;
        component[static_cast<size_t>(n)] = v;
        stack.push_back(n);
      }
    }
  }
  return component;
}

}  // namespace

TEST_CASE("components: every label keeps its largest; corners connect or do not") {
  const std::vector<uint8_t> picture{1, 0, 0, 2, 2,  //
                                     0, 1, 0, 0, 0,  //
                                     0, 1, 0, 1, 2};
  Tensor corners = labels_of({1, 3, 5, 1}, picture);
  CHECK(transform::keep_largest(corners) == 2);
  CHECK(values_of(corners) == std::vector<uint8_t>{1, 0, 0, 2, 2, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0});
  Tensor faces = labels_of({1, 3, 5, 1}, picture);
  CHECK(transform::keep_largest(faces, Neighbours::faces) == 3);
  CHECK(values_of(faces) == std::vector<uint8_t>{0, 0, 0, 2, 2, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0});
  Tensor small = labels_of({1, 3, 5, 1}, picture);
  CHECK(transform::remove_small(small, 2) == 2);
  CHECK(transform::remove_small(small, 3) == 2);
  CHECK(values_of(small) == std::vector<uint8_t>{1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0});
  Tensor equal = labels_of({1, 1, 3, 1}, {7, 0, 7});
  CHECK(transform::keep_largest(equal) == 1);
  CHECK(values_of(equal) == std::vector<uint8_t>{7, 0, 0});
}

TEST_CASE("components: equal a flood fill on noise, in both connectivities") {
  for (Neighbours neighbours : {Neighbours::faces, Neighbours::corners})
    for (uint64_t seed = 0; seed < 4; ++seed) {
      Tensor labels = integers({7, 11, 13, 1}, seed, DType::u8);
      for (uint8_t& v : labels.span<uint8_t>()) v = v % 5 < 2 ? 0 : static_cast<uint8_t>(1 + v % 2);
      const std::vector<int64_t> component = flood(labels, neighbours);
      std::vector<int64_t> size(component.size());
      for (int64_t c : component)
        if (c >= 0) ++size[static_cast<size_t>(c)];
      std::array<int64_t, 3> largest{-1, -1, -1};
      for (size_t v = 0; v < size.size(); ++v) {
        int64_t& best = largest[labels.data<uint8_t>()[v]];
        if (size[v] > 0 && (best < 0 || size[v] > size[static_cast<size_t>(best)])) best = static_cast<int64_t>(v);
      }
      const Tensor kept = labels.clone(), cleaned = labels.clone();
      transform::keep_largest(kept, neighbours);
      transform::remove_small(cleaned, 4, neighbours);
      for (size_t v = 0; v < component.size(); ++v) {
        const uint8_t label = labels.data<uint8_t>()[v];
        CHECK(kept.data<uint8_t>()[v] == (component[v] >= 0 && component[v] == largest[label] ? label : 0));
        CHECK(cleaned.data<uint8_t>()[v] ==
              (component[v] >= 0 && size[static_cast<size_t>(component[v])] >= 4 ? label : 0));
      }
    }
}

TEST_CASE("components: nothing to do, and wrong tensors") {
  CHECK(transform::keep_largest(Tensor::zeros({0, 2, 2, 1}, DType::u8)) == 0);
  CHECK(transform::keep_largest(Tensor::zeros({3, 2, 2, 1}, DType::u8)) == 0);
  CHECK(error_of([] { transform::keep_largest(Tensor::zeros({3, 2, 2, 1})); }).starts_with("[keep_largest] labels"));
  CHECK(error_of([] {
          transform::remove_small(Tensor::zeros({3, 2, 2}, DType::u8), 1);
        }).starts_with("[remove_small] labels"));
}
