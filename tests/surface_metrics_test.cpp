#include "nn/surface_metrics.h"

#include <cmath>
#include <filesystem>
#include <limits>
#include <set>

#include "core/formats/nifti.h"
#include "core/io/safetensors.h"
#include "core/transform/cut.h"
#include "nn/distance_transform.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::nn;

namespace {

using Spacing = std::array<double, 3>;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// u8 [size, 1] of 0, with 1 (or the label) in a box.
Tensor box(const Shape& size, const std::array<int, 3>& first, const std::array<int, 3>& last, uint8_t label = 1) {
  const Tensor x = Tensor::zeros({size[0], size[1], size[2], 1}, DType::u8);
  for (int64_t z = first[0]; z < last[0]; ++z)
    for (int64_t y = first[1]; y < last[1]; ++y)
      for (int64_t i = first[2]; i < last[2]; ++i) x.data<uint8_t>()[(z * size[1] + y) * size[2] + i] = label;
  return x;
}

Tensor random_seeds(const Shape& size, double share, uint64_t seed) {
  const Tensor x = Tensor::zeros(size, DType::u8);
  const Tensor r = testing::randn(size, seed);
  for (size_t i = 0; i < x.span<uint8_t>().size(); ++i) x.span<uint8_t>()[i] = std::abs(r.span<double>()[i]) < share;
  return x;
}

// The definition.
std::vector<double> nearest(const Tensor& seeds, const Spacing& mm) {
  const Shape& s = seeds.shape();
  const auto square = [](double v) { return v * v; };
  std::vector<double> all;
  for (int64_t i = 0; i < seeds.numel(); ++i) {
    double least = kInfinity;
    for (int64_t j = 0; j < seeds.numel(); ++j) {
      if (seeds.data<uint8_t>()[j] == 0) continue;
      const auto away = [&](int64_t step, int64_t n) { return static_cast<double>(i / step % n - j / step % n); };
      least = std::min(least, std::sqrt(square(away(s[1] * s[2], s[0]) * mm[0]) + square(away(s[2], s[1]) * mm[1]) +
                                        square(away(1, s[2]) * mm[2])));
    }
    all.push_back(least);
  }
  return all;
}

bool close(double a, double b) {
  return a == b || (std::isnan(a) && std::isnan(b)) || std::abs(a - b) <= 1e-6 * std::max(1.0, std::abs(b));
}

// Our scores of a pair against the reference's, label by label.
void check_pair(const io::Safetensors& file, const std::string& name, const Tensor& predicted, const Tensor& truth) {
  CAPTURE(name);
  const auto tensor = [&](const char* key) { return *file.find(name + "." + key); };
  const auto mm = tensor("spacing").span<double>(), tolerances = tensor("tolerances").span<double>();
  const auto want = tensor("scores").span<double>(), want_surface = tensor("surface_dice").span<double>();
  const auto want_counts = tensor("counts").span<int64_t>();
  const int64_t classes = tensor("scores").shape()[0];
  const std::vector<Counts> counts = count_labels(predicted, truth, classes);
  for (size_t k = 0; k < static_cast<size_t>(classes); ++k) {
    CAPTURE(k);
    CHECK(counts[k] ==
          Counts{want_counts[4 * k], want_counts[4 * k + 1], want_counts[4 * k + 2], want_counts[4 * k + 3]});
    const Scores plain = scores(counts[k]), defined = scores(counts[k], EmptyPolicy::exclude);
    CHECK(close(plain.dice, want[6 * k]));
    CHECK(close(plain.iou, want[6 * k + 1]));
    CHECK(close(defined.precision, want[6 * k + 2]));
    CHECK(close(defined.recall, want[6 * k + 3]));
    for (size_t t = 0; t < tolerances.size(); ++t) {
      const SurfaceScores s =
          surface_scores(predicted, truth, static_cast<uint8_t>(k), {mm[0], mm[1], mm[2]}, tolerances[t]);
      CAPTURE(tolerances[t]);
      CHECK(close(s.hd95_max, want[6 * k + 4]));
      CHECK(close(s.hd95_pooled, want[6 * k + 5]));
      CHECK(close(s.surface_dice, want_surface[tolerances.size() * k + t]));
    }
  }
}

// The names of a file's pairs, in its order.
std::vector<std::string> pairs_of(const io::Safetensors& file) {
  std::vector<std::string> names;
  for (const NamedTensor& t : file.tensors)
    if (t.name.ends_with(".scores")) names.push_back(t.name.substr(0, t.name.size() - 7));
  return names;
}

}  // namespace

TEST_CASE("distance_transform: equals the definition, with anisotropic spacing, bit for bit") {
  for (const Spacing& mm : {Spacing{1, 1, 1}, Spacing{3, 0.78, 0.82}, Spacing{0.1, 7, 1.3}})
    for (const Shape& size : {Shape{5, 7, 9, 1}, Shape{1, 1, 1, 1}, Shape{1, 17, 3, 1}, Shape{12, 1, 10, 1}})
      for (double share : {0.01, 0.1, 0.7, 9.0}) {
        const Tensor seeds = random_seeds(size, share, 5);
        const Tensor y = distance_transform(seeds, mm);
        CHECK(y.shape() == size);
        const std::vector<double> want = nearest(seeds, mm);
        for (size_t i = 0; i < want.size(); ++i) REQUIRE(y.span<double>()[i] == want[i]);
      }
}

TEST_CASE("distance_transform: no seed, no voxel, and the same bits for any number of threads") {
  const Tensor none = distance_transform(Tensor::zeros({2, 3, 4, 1}, DType::u8), {1, 1, 1});
  for (double mm : none.span<double>()) CHECK(mm == kInfinity);
  CHECK(distance_transform(Tensor::zeros({2, 0, 4, 1}, DType::u8), {1, 1, 1}).numel() == 0);
  const Tensor seeds = random_seeds({20, 70, 50, 1}, 0.001, 2);
  const Tensor one = distance_transform(seeds, {2, 1, 1.1});
  Context context(testing::with_threads(3));
  const Context::Scope scope(context);
  const Tensor three = distance_transform(seeds, {2, 1, 1.1});
  CHECK(std::equal(one.span<double>().begin(), one.span<double>().end(), three.span<double>().begin()));
}

TEST_CASE("distance_transform: refuses other shapes and spacings") {
  CHECK(testing::error_of([] {
          distance_transform(Tensor::zeros({2, 2, 2}, DType::u8), {1, 1, 1});
        }) == "[distance_transform] seeds: expected u8 [D, H, W, 1], got u8 [2, 2, 2]");
  for (double bad : {0.0, -1.0, kNaN, kInfinity})
    CHECK(testing::error_of([&] {
            distance_transform(Tensor::zeros({2, 2, 2, 1}, DType::u8), {1, bad, 1});
          }).starts_with("[distance_transform] spacing: expected mm above 0, got"));
}

TEST_CASE("surface_metrics: what MONAI and surface-distance say of synthetic pairs, to 1e-6") {
  const io::Safetensors file = io::read_safetensors(LGMS_TEST_DATA "/surface_metrics.safetensors");
  int pairs = 0;
  for (const std::string& name : pairs_of(file)) {
    const Tensor *predicted = file.find(name + ".predicted"), *truth = file.find(name + ".truth");
    if (predicted == nullptr) continue;
    const Shape& s = truth->shape();
    check_pair(file, name, predicted->reshaped({s[0], s[1], s[2], 1}), truth->reshaped({s[0], s[1], s[2], 1}));
    ++pairs;
  }
  CHECK(pairs == 14);
}

TEST_CASE("surface_metrics: and of real pairs") {
  const std::filesystem::path folder = testing::shared("data/hippocampus_msd/labelsTr");
  if (!std::filesystem::exists(folder)) {
    MESSAGE("skipped: no labels in " << folder);
    return;
  }
  const io::Safetensors file = io::read_safetensors(LGMS_TEST_DATA "/surface_metrics.safetensors");
  int pairs = 0;
  for (const std::string& name : pairs_of(file)) {
    const size_t plus = name.find('+');
    if (plus == std::string::npos) continue;
    const auto read = [&](const std::string& stem) { return io::read_nifti(folder / (stem + ".nii.gz")).voxels; };
    const Tensor a = read(name.substr(0, plus)), b = read(name.substr(plus + 1, name.find('@') - plus - 1));
    Size3 size;
    for (size_t i = 0; i < 3; ++i) size[i] = std::min(a.shape()[static_cast<int>(i)], b.shape()[static_cast<int>(i)]);
    check_pair(file, name, transform::cut(a, {}, size).to(DType::u8), transform::cut(b, {}, size).to(DType::u8));
    ++pairs;
  }
  CHECK(pairs == 12);
}

TEST_CASE("surface_metrics: areas are those of planes, edges and corners, whatever the spacing") {
  const Spacing mm{3, 0.5, 0.7};
  const std::array<double, 256> areas = surface_areas(mm);
  CHECK(areas[0] == 0);
  CHECK(areas[255] == 0);
  CHECK(areas[0b00001111] == doctest::Approx(0.5 * 0.7));  // z = 1 inside: the plane between
  CHECK(areas[0b00110011] == doctest::Approx(3 * 0.7));    // y = 1
  CHECK(areas[0b01010101] == doctest::Approx(3 * 0.5));    // x = 1
  // One voxel: a triangle between the middles of three edges.
  CHECK(areas[1] == doctest::Approx(std::hypot(0.5 * 0.7, 3 * 0.7, 3 * 0.5) / 8));
  std::set<double> distinct(areas.begin(), areas.end());
  CHECK(distinct.size() == 1 + 7 * 3 + 5);  // none; 7 cases with an axis of their own; 5 areas that are alike on all
  for (size_t code = 1; code < 255; ++code) CHECK(areas[code] > 0);
}

TEST_CASE("surface_metrics: identical masks, shifted boxes, single voxels") {
  const Shape size{9, 10, 11};
  const Tensor a = box(size, {2, 2, 2}, {6, 7, 8}), shifted = box(size, {2, 4, 2}, {6, 9, 8});
  const SurfaceScores same = surface_scores(a, a, 1, {2, 3, 4}, 0);
  CHECK(same.hd95_max == 0);
  CHECK(same.hd95_pooled == 0);
  CHECK(same.surface_dice == 1);
  const SurfaceScores moved = surface_scores(a, shifted, 1, {2, 0.7, 4}, 1.4);
  CHECK(moved.hd95_max == 1.4);  // two voxels of 0.7 mm: a face is more than 5 % of the surface
  CHECK(moved.surface_dice == 1);
  CHECK(surface_scores(a, shifted, 1, {2, 0.7, 4}, 1.39).surface_dice < 0.8);
  const SurfaceScores voxels =
      surface_scores(box(size, {0, 0, 0}, {1, 1, 1}), box(size, {8, 9, 10}, {9, 10, 11}), 1, {3, 1, 2}, 1);
  const double mm = std::sqrt(24.0 * 24 + 9 * 9 + 20 * 20);
  CHECK(voxels.hd95_max == mm);
  CHECK(voxels.hd95_pooled == mm);
  CHECK(voxels.surface_dice == 0);
}

TEST_CASE("surface_metrics: a label at the border has its surface there") {
  const Shape size{4, 4, 4};
  const Tensor all = box(size, {0, 0, 0}, {4, 4, 4}), inside = box(size, {1, 1, 1}, {3, 3, 3});
  // Every voxel of `inside` is surface; from the 56 of the border (8 corners, 24 on edges, 24 on faces) it is
  // sqrt(3), sqrt(2) and 1 mm; the percentile of 56 lies among the corners.
  const SurfaceScores s = surface_scores(all, inside, 1, {1, 1, 1}, 1);
  CHECK(s.hd95_max == doctest::Approx(std::sqrt(3.0)));
  CHECK(s.hd95_pooled == doctest::Approx(std::sqrt(3.0)));
  CHECK(s.surface_dice < 1);
  CHECK(surface_scores(all, inside, 1, {1, 1, 1}, 2).surface_dice == 1);
}

TEST_CASE("surface_metrics: empty labels, by policy") {
  const Tensor none = box({3, 4, 5}, {0, 0, 0}, {0, 0, 0}), some = box({3, 4, 5}, {1, 1, 1}, {2, 3, 4});
  const auto both = [&](EmptyPolicy policy) { return surface_scores(none, none, 1, {1, 1, 1}, 1, policy); };
  CHECK(std::isnan(both(EmptyPolicy::exclude).surface_dice));
  CHECK(std::isnan(both(EmptyPolicy::exclude).hd95_max));
  CHECK(both(EmptyPolicy::one).surface_dice == 1);
  CHECK(both(EmptyPolicy::one).hd95_pooled == 0);
  CHECK(both(EmptyPolicy::zero).surface_dice == 0);
  CHECK(std::isnan(both(EmptyPolicy::zero).hd95_max));
  for (EmptyPolicy policy : {EmptyPolicy::exclude, EmptyPolicy::one, EmptyPolicy::zero})
    for (const auto& [predicted, truth] : {std::pair{none, some}, std::pair{some, none}}) {
      const SurfaceScores one_sided = surface_scores(predicted, truth, 1, {1, 1, 1}, 1, policy);
      CHECK(one_sided.surface_dice == 0);
      CHECK(one_sided.hd95_max == kInfinity);
      CHECK(one_sided.hd95_pooled == kInfinity);
    }
}

TEST_CASE("surface_metrics: other labels do not count, wrong arguments are refused") {
  const Shape size{6, 6, 6};
  const Tensor a = box(size, {1, 1, 1}, {4, 4, 4}, 2), b = box(size, {1, 1, 1}, {4, 4, 4}, 2);
  b.span<uint8_t>()[0] = 7;
  CHECK(surface_scores(a, b, 2, {1, 1, 1}, 0).surface_dice == 1);
  CHECK(surface_scores(a, b, 7, {1, 1, 1}, 0).surface_dice == 0);
  CHECK(testing::error_of([&] {
          surface_scores(a, box({6, 6, 7}, {}, {}), 1, {1, 1, 1}, 0);
        }) == "[surface_metrics] predicted: expected [6, 6, 7, 1] like the truth, got [6, 6, 6, 1]");
  CHECK(testing::error_of([&] {
          surface_scores(a, b.to(DType::f32), 1, {1, 1, 1}, 0);
        }) == "[surface_metrics] labels: expected u8 [D, H, W, 1], got f32 [6, 6, 6, 1]");
  CHECK(testing::error_of([&] {
          surface_scores(a, b, 1, {1, 1, 1}, -1);
        }) == "[surface_metrics] tolerance: expected mm, at least 0, got -1");
}
