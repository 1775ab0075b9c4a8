#include "lgmsnet/label_statistics.h"

#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

TEST_CASE("label_statistics: a box in a turned, oblique volume") {
  const Tensor labels = Tensor::zeros({4, 6, 8, 1}, DType::u8);  // k, j, i
  for (int64_t k : {1, 2})
    for (int64_t j : {2, 3, 4})
      for (int64_t i : {3, 4}) labels.data<uint8_t>()[(k * 6 + j) * 8 + i] = 2;
  labels.data<uint8_t>()[(3 * 6 + 5) * 8 + 7] = 1;
  const Affine affine{{{0, -0.5, 0, 10}, {0.6, 0, -1.6, 20}, {0.8, 0, 1.2, 30}}};  // columns of 1, 0.5 and 2 mm
  const auto all = label_statistics(labels, affine, 4);
  REQUIRE(all.size() == 3);
  CHECK(voxel_volume(affine) == doctest::Approx(1.0));
  const LabelStatistics &corner = all[0], &box = all[1], &none = all[2];
  CHECK(corner.voxels == 1);
  CHECK(corner.touches_border);
  CHECK(corner.first == Size3{7, 5, 3});
  CHECK(corner.last == Size3{7, 5, 3});
  CHECK(box.label == 2);
  CHECK(box.voxels == 12);
  CHECK(box.millilitres == doctest::Approx(0.012));
  CHECK(!box.touches_border);
  CHECK(box.first == Size3{3, 2, 1});
  CHECK(box.last == Size3{4, 4, 2});
  CHECK(box.centroid == std::array<double, 3>{3.5, 3, 1.5});
  CHECK(box.centroid_mm[0] == doctest::Approx(10 - 1.5));
  CHECK(box.centroid_mm[1] == doctest::Approx(20 + 2.1 - 2.4));
  CHECK(box.centroid_mm[2] == doctest::Approx(30 + 2.8 + 1.8));
  CHECK(none.voxels == 0);
  CHECK(none.millilitres == 0);
  CHECK(!none.touches_border);
  CHECK(error_of([&] { label_statistics(Tensor::zeros({4, 4, 4, 1}), affine, 2); }).starts_with("[statistics] labels"));
}
