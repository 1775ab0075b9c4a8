#include "lgmsnet/volume_inference.h"

#include <algorithm>
#include <cmath>

#include "core/transform/resample.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;
using transform::Orientation;

namespace {

constexpr int64_t kClasses = 3;

Shape shape_of(const Size3& size, int64_t channels) { return {size[0], size[1], size[2], channels}; }

std::vector<Orientation> all_orientations() {
  std::vector<Orientation> all;
  std::array<int, 3> from{0, 1, 2};
  do
    for (int flips = 0; flips < 8; ++flips)
      all.push_back({from, {(flips & 1) != 0, (flips & 2) != 0, (flips & 4) != 0}});
  while (std::next_permutation(from.begin(), from.end()));
  return all;
}

// Sums of 1 over the classes, no two alike.
Tensor probabilities(const Size3& size, uint64_t seed) {
  const Tensor p = randn(shape_of(size, kClasses), seed, DType::f32);
  for (int64_t row = 0; row < p.rows(); ++row) {
    float* v = p.data<float>() + row * kClasses;
    float sum = 0;
    for (int64_t k = 0; k < kClasses; ++k) sum += v[k] = std::abs(v[k]) + 0.01f;
    for (int64_t k = 0; k < kClasses; ++k) v[k] /= sum;
  }
  return p;
}

// Slabs of the box along axes[0], cut at will.
Tensor stream(const VolumeGrid& grid, const std::array<int, 3>& axes, const Tensor& box,
              const std::vector<int64_t>& cuts, const NativeLabels::ProbabilitySink& also = {}) {
  const Tensor turned = transform::reorient(box, {axes, {}});
  const int64_t slice = turned.numel() / turned.shape()[0];
  NativeLabels labels(grid, axes, kClasses, also);
  int64_t first = 0, next = 0;
  while (first < turned.shape()[0]) {
    const int64_t count = std::min(cuts[static_cast<size_t>(next++) % cuts.size()], turned.shape()[0] - first);
    labels.add(first, TensorView(turned.data<float>() + first * slice, DType::f32,
                                 {count, turned.shape()[1], turned.shape()[2], kClasses}));
    first += count;
  }
  return labels.finish();
}

// The whole volume at once: background around the box, resampled, turned back.
Tensor whole(const VolumeGrid& grid, const Tensor& box) {
  const Tensor all = Tensor::zeros(shape_of(grid.resampled, kClasses));
  for (int64_t row = 0; row < all.rows(); ++row) all.data<float>()[row * kClasses] = 1;
  for (int64_t d = 0; d < grid.size[0]; ++d)
    for (int64_t h = 0; h < grid.size[1]; ++h)
      std::copy_n(
          box.data<float>() + (d * grid.size[1] + h) * grid.size[2] * kClasses, grid.size[2] * kClasses,
          all.data<float>() +
              (((d + grid.origin[0]) * grid.resampled[1] + h + grid.origin[1]) * grid.resampled[2] + grid.origin[2]) *
                  kClasses);
  const Tensor resampled = transform::resample_linear(all, transform::reoriented(grid.native, grid.orientation));
  return transform::reorient(resampled, grid.orientation.inverse());
}

// How many labels are not the class with the largest probability, or (nearly) one of those.
int64_t wrong(const Tensor& labels, const Tensor& p, float margin) {
  int64_t count = 0;
  for (int64_t row = 0; row < p.rows(); ++row) {
    const float* v = p.data<float>() + row * kClasses;
    count += v[labels.data<uint8_t>()[row]] < *std::max_element(v, v + kClasses) - margin;
  }
  return count;
}

const std::array<std::array<int, 3>, 3> kAxes{{{0, 1, 2}, {1, 0, 2}, {2, 0, 1}}};

}  // namespace

TEST_CASE("volume_inference: labels come back exactly through every orientation and along every axis") {
  const Size3 native{5, 6, 7};
  const Tensor labels = integers(shape_of(native, 1), 3, DType::u8);
  for (uint8_t& v : labels.span<uint8_t>()) v = static_cast<uint8_t>(v % kClasses);
  for (const Orientation& o : all_orientations())
    for (const auto& axes : kAxes) {
      const Size3 turned = transform::reoriented(native, o);
      const Tensor seen = transform::reorient(labels, o), box = Tensor::zeros(shape_of(turned, kClasses));
      for (int64_t row = 0; row < seen.rows(); ++row) box.data<float>()[row * kClasses + seen.data<uint8_t>()[row]] = 1;
      const Tensor back = stream({native, o, turned, {}, turned}, axes, box, {2});
      CHECK(max_difference(back, labels) == 0);
    }
}

TEST_CASE("volume_inference: outside of the crop box is background, inside nothing moves") {
  const Size3 native{8, 9, 10};
  const Orientation o{{2, 0, 1}, {true, false, true}};
  const Size3 turned = transform::reoriented(native, o), size{4, 5, 3}, origin{3, 2, 4};
  const VolumeGrid grid{native, o, turned, origin, size};
  const Tensor box = probabilities(size, 7);
  for (const auto& axes : kAxes) {
    const Tensor labels = stream(grid, axes, box, {1, 2});
    CHECK(wrong(labels, whole(grid, box), 0) == 0);
    int64_t inside = 0;
    for (uint8_t v : labels.span<uint8_t>()) inside += v != 0;
    CHECK(inside > 20);
    CHECK(inside <= 60);
  }
}

TEST_CASE(
    "volume_inference: resampled slab by slab equals the whole volume resampled, up and down, cropped and turned") {
  struct Case {
    Size3 native, resampled, origin, size;
  };
  const Case cases[] = {{{12, 13, 14}, {5, 6, 7}, {}, {5, 6, 7}},      {{5, 6, 7}, {12, 13, 31}, {}, {12, 13, 31}},
                        {{20, 6, 9}, {9, 9, 9}, {2, 1, 3}, {5, 7, 6}}, {{6, 9, 20}, {6, 9, 3}, {0, 0, 1}, {6, 9, 1}},
                        {{40, 3, 3}, {2, 3, 3}, {1, 0, 0}, {1, 3, 3}}, {{3, 4, 5}, {1, 1, 1}, {}, {1, 1, 1}},
                        {{1, 64, 64}, {3, 50, 70}, {}, {3, 50, 70}}};
  for (const Case& c : cases)
    for (const Orientation& o : {Orientation{}, Orientation{{1, 2, 0}, {true, false, true}}})
      for (const auto& axes : kAxes)
        for (const std::vector<int64_t>& cuts : std::vector<std::vector<int64_t>>{{1}, {3, 1}, {100}}) {
          const VolumeGrid grid{transform::reoriented(c.native, o.inverse()), o, c.resampled, c.origin, c.size};
          const Tensor box = probabilities(c.size, 5);
          const Tensor p = whole(grid, box);
          const NativeFrame frame = native_frame(grid, axes);
          int64_t next = 0;
          double off = 0;
          const Tensor labels = stream(grid, axes, box, cuts, [&](const Size3& at, const TensorView& slab) {
            CHECK(at == Size3{next, 0, 0});
            const Shape& s = slab.shape();
            next += s[0];
            for (int64_t a = 0; a < s[0]; ++a)
              for (int64_t x = 0; x < s[1]; ++x)
                for (int64_t y = 0; y < s[2]; ++y)
                  for (int64_t k = 0; k < kClasses; ++k)
                    off = std::max(
                        off,
                        std::abs(static_cast<double>(slab.data<float>()[((a * s[1] + x) * s[2] + y) * kClasses + k]) -
                                 p.data<float>()[(frame.first + (at[0] + a) * frame.stride[0] + x * frame.stride[1] +
                                                  y * frame.stride[2]) *
                                                     kClasses +
                                                 k]));
          });
          CHECK(next == frame.extents[0]);
          // Three mixes of numbers up to 1, in another order of the axes: a few units in the last place.
          constexpr float eps = 8 * std::numeric_limits<float>::epsilon();
          CHECK(off <= eps);
          CHECK(wrong(labels, p, 2 * eps) == 0);
        }
}

TEST_CASE("volume_inference: work is cut into pieces of bounded memory, with the same result") {
  Context context(with_threads(2));
  const Context::Scope scope(context);
  // Slices of 3.1 MB before and 4.7 MB after resampling: a few at a time.
  const Size3 size{30, 512, 512}, native{40, 600, 650};
  const VolumeGrid grid{native, {}, size, {}, size};
  const Tensor box = Tensor::zeros(shape_of(size, kClasses));
  for (int64_t row = 0; row < box.rows(); ++row) box.data<float>()[row * kClasses + row / 9999 % kClasses] = 1;
  const int64_t before = context.allocator()->in_use();
  context.allocator()->reset_peak();
  NativeLabels labels(grid, {0, 1, 2}, kClasses);
  labels.add(0, box);
  const Tensor result = labels.finish();
  const int64_t peak = context.allocator()->peak() - before, planned = [&] {
    const NativeLabels::Memory memory = NativeLabels::memory(grid, {0, 1, 2}, kClasses);
    return memory.held + memory.moment;
  }();
  CHECK(peak <= planned * 9 / 8 + 4096);  // the allocator rounds up
  CHECK(peak >= planned * 8 / 10);
  CHECK(planned < 50'000'000);
  CHECK(wrong(result, transform::resample_linear(box, native), 1e-6f) == 0);
}

TEST_CASE("volume_inference: slabs out of order, of other shapes, and too many classes are refused") {
  const Size3 size{4, 4, 4};
  const VolumeGrid grid{{8, 8, 8}, {}, size, {}, size};
  NativeLabels labels(grid, {0, 1, 2}, kClasses);
  const Tensor slab = Tensor::zeros({2, 4, 4, kClasses});
  CHECK(error_of([&] { labels.add(1, slab); }).starts_with("[labels] expected slabs in order"));
  CHECK(error_of([&] { labels.add(0, Tensor::zeros({2, 4, 5, kClasses})); }).starts_with("[labels] probabilities"));
  CHECK(error_of([&] { labels.add(3, slab); }).starts_with("[labels] probabilities"));
  labels.add(0, slab);
  CHECK(error_of([&] { labels.finish(); }).starts_with("[labels] expected all slabs"));
  CHECK(error_of([&] { NativeLabels(grid, {0, 1, 2}, 257); }).starts_with("[labels] classes"));
}

TEST_CASE("labels: probabilities that are no numbers make no labels") {
  const Size3 size{2, 3, 4};
  NativeLabels labels({size, {}, size, {}, size}, {0, 1, 2}, 2);
  const Tensor p = Tensor::full({2, 3, 4, 2}, NAN);
  try {
    labels.add(0, p);
    FAIL_CHECK("accepted");
  } catch (const Error& e) { CHECK(e.kind() == ErrorKind::model); }
}
