#include <numeric>

#include "core/transform/flip.h"
#include "core/transform/normalise.h"
#include "core/transform/pad.h"
#include "core/transform/resize.h"
#include "support/testing.h"

using namespace lgms;
using namespace lgms::testing;
using namespace lgms::transform;

namespace {

std::vector<float> values(const Tensor& t) {
  const Tensor f = t.to(DType::f32);
  return {f.span<float>().begin(), f.span<float>().end()};
}

Tensor counting(const Shape& shape, DType dtype = DType::f32) {
  std::vector<float> v(static_cast<size_t>(shape.numel()));
  std::iota(v.begin(), v.end(), 0.0f);
  return Tensor::from(shape, v).to(dtype);
}

}  // namespace

TEST_CASE("resize_bilinear: equals torch's interpolate(align_corners=False)") {
  // torch.nn.functional.interpolate(torch.arange(4.), 6 | 3 | 8, mode="linear")
  const Tensor row = counting({1, 4, 1});
  const auto close = [](const Tensor& y, const std::vector<double>& want) {
    const auto got = values(y);
    REQUIRE(got.size() == want.size());
    for (size_t i = 0; i < want.size(); ++i) CHECK(got[i] == doctest::Approx(want[i]).epsilon(1e-6));
  };
  close(resize_bilinear(row, 1, 8), {0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3});
  close(resize_bilinear(row, 1, 3), {1.0 / 6, 1.5, 17.0 / 6});
  close(resize_bilinear(row, 1, 6), {0, 0.5, 7.0 / 6, 11.0 / 6, 2.5, 3});
  close(resize_bilinear(counting({2, 2, 1}), 3, 3), {0, 0.5, 1, 1, 1.5, 2, 2, 2.5, 3});
}

TEST_CASE("resize_bilinear: keeps channels apart, reads strided rows, is the identity at equal size") {
  const Tensor x = randn({5, 7, 3}, 1, DType::f32, 2);
  CHECK(max_difference(resize_bilinear(x, 5, 7), x) == 0);
  const Tensor y = resize_bilinear(x, 9, 4);
  for (int c = 0; c < 3; ++c) {
    const Tensor one = resize_bilinear(x.slice(c, 1).dense(), 9, 4);
    CHECK(max_difference(y.slice(c, 1), one) == 0);
  }
  CHECK(max_difference(resize_bilinear(Tensor::full({1, 1, 1}, 3), 4, 5), Tensor::full({4, 5, 1}, 3)) == 0);
}

TEST_CASE("resize_nearest: takes floor(i in/out) or floor((i + 0.5) in/out)") {
  const Tensor x = counting({1, 5, 1}, DType::u8);
  CHECK(values(resize_nearest(x, 1, 3, Nearest::corner)) == std::vector<float>{0, 1, 3});
  CHECK(values(resize_nearest(x, 1, 3, Nearest::centre)) == std::vector<float>{0, 2, 4});
  CHECK(values(resize_nearest(x, 1, 8, Nearest::corner)) == std::vector<float>{0, 0, 1, 1, 2, 3, 3, 4});
  CHECK(values(resize_nearest(x, 1, 8, Nearest::centre)) == std::vector<float>{0, 0, 1, 2, 2, 3, 4, 4});
  CHECK(resize_nearest(x, 2, 2, Nearest::centre).dtype() == DType::u8);
}

TEST_CASE("round_to_8_bits: rounds halves up and stays within 0..255") {
  const Tensor x = Tensor::from<float>({1, 6, 1}, std::vector<float>{-3, 0.49f, 0.5f, 1.5f, 254.6f, 300});
  CHECK(values(round_to_8_bits(x)) == std::vector<float>{0, 0, 1, 2, 255, 255});
}

TEST_CASE("flip, rot90: move whole pixels") {
  const Tensor x = counting({2, 3, 1});  // 0 1 2 / 3 4 5
  CHECK(values(flip_vertical(x)) == std::vector<float>{3, 4, 5, 0, 1, 2});
  CHECK(values(flip_horizontal(x)) == std::vector<float>{2, 1, 0, 5, 4, 3});
  CHECK(values(rot90(x, 1)) == std::vector<float>{2, 5, 1, 4, 0, 3});  // numpy.rot90
  CHECK(values(rot90(x, 2)) == std::vector<float>{5, 4, 3, 2, 1, 0});
  CHECK(values(rot90(x, 3)) == std::vector<float>{3, 0, 4, 1, 5, 2});
  CHECK(rot90(x, 1).shape() == Shape{3, 2, 1});
  CHECK(values(rot90(x, -1)) == values(rot90(x, 3)));
  CHECK(values(rot90(x, 4)) == values(x));
}

TEST_CASE("flip, rot90, crop: every type, several channels, strided rows") {
  for (const DType dtype : {DType::f32, DType::f64, DType::i64, DType::u8}) {
    const Tensor x = counting({3, 4, 2}, dtype);
    Tensor back = x;
    for (int turn = 0; turn < 4; ++turn) back = rot90(back, 1);
    CHECK(max_difference(back, x) == 0);
    CHECK(max_difference(rot90(x, 2), flip_vertical(flip_horizontal(x))) == 0);
    CHECK(max_difference(reverse_channels(reverse_channels(x)), x) == 0);
    CHECK(max_difference(reverse_channels(x).slice(0, 1), x.slice(1, 1)) == 0);
    CHECK(max_difference(flip_vertical(x.slice(1, 1)), flip_vertical(x.slice(1, 1).dense())) == 0);
  }
}

TEST_CASE("normalise: (x / 255 - mean) / std per channel, from u8 or f32") {
  const std::vector<float> mean{0.485f, 0.456f}, std{0.229f, 0.224f};
  const Tensor x = counting({1, 3, 2}, DType::u8), y = normalise(x, mean, std);
  for (size_t i = 0; i < 6; ++i) CHECK(values(y)[i] == (static_cast<float>(i) / 255.0f - mean[i % 2]) / std[i % 2]);
  CHECK(max_difference(normalise(x.to(DType::f32), mean, std), y) == 0);
  CHECK(values(divide_by_255(y))[3] == values(y)[3] / 255.0f);
  CHECK(error_of([&] { normalise(x, std::vector<float>{1.0f}, std); }).find("mean") != std::string::npos);
}

TEST_CASE("pad_edge: repeats the last row and column to the next multiple, crop undoes it") {
  const Tensor x = counting({2, 3, 1}, DType::u8), y = pad_edge(x, 4);
  CHECK(values(y) == std::vector<float>{0, 1, 2, 2, 3, 4, 5, 5, 3, 4, 5, 5, 3, 4, 5, 5});
  CHECK(max_difference(crop(y, 2, 3), x) == 0);
  CHECK(pad_edge(randn({32, 64, 3}, 1, DType::f32), 32).shape() == Shape{32, 64, 3});
  CHECK(pad_edge(randn({33, 1, 3}, 1, DType::f32), 32).shape() == Shape{64, 32, 3});
}

TEST_CASE("transforms: wrong shapes and types name the argument") {
  const Tensor flat = counting({4, 4}), bytes = counting({2, 2, 1}, DType::u8), none = Tensor::empty({0, 3, 1});
  CHECK(error_of([&] { resize_bilinear(flat, 2, 2); }) == "[resize_bilinear] x: expected [H, W, C], got [4, 4]");
  CHECK(error_of([&] { resize_bilinear(bytes, 2, 2); }) == "[resize_bilinear] x: expected f32, got u8");
  CHECK(error_of([&] { resize_bilinear(none, 2, 2); }).find("size") != std::string::npos);
  CHECK(error_of([&] { resize_nearest(bytes, 0, 2, Nearest::centre); }).find("size") != std::string::npos);
  CHECK(error_of([&] { crop(bytes, 3, 2); }).find("size") != std::string::npos);
  CHECK(error_of([&] { pad_edge(none, 32); }).find("pad_edge") != std::string::npos);
}
