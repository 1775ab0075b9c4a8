#include "nn/data/augment.h"

#include <array>
#include <map>

#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::nn;

TEST_CASE("augment: a move keeps every pixel and its channels together") {
  const Tensor t = testing::integers({3, 5, 2}, 1, DType::u8);
  for (int turns = 0; turns < 4; ++turns)
    for (bool vertical : {false, true})
      for (bool horizontal : {false, true}) {
        const Tensor moved = RotateFlip{turns, vertical, horizontal}(t);
        CHECK(moved.shape() == (turns % 2 == 0 ? Shape{3, 5, 2} : Shape{5, 3, 2}));
        std::map<std::pair<int, int>, int> pixels;
        for (int64_t r = 0; r < t.rows(); ++r) {
          ++pixels[{t.data<uint8_t>()[2 * r], t.data<uint8_t>()[2 * r + 1]}];
          --pixels[{moved.data<uint8_t>()[2 * r], moved.data<uint8_t>()[2 * r + 1]}];
        }
        for (const auto& [pixel, balance] : pixels) CHECK(balance == 0);
      }
  CHECK(testing::max_difference(RotateFlip{2, true, true}(t), t) == 0);  // half a turn is both flips
}

TEST_CASE("augment: half of the draws rotate, half flip, each kind as often") {
  std::array<int, 4> turns{};
  std::array<int, 4> flips{};
  const int n = 12000;
  for (int i = 0; i < n; ++i) {
    Rng rng(7, Purpose::augment, 1, static_cast<uint32_t>(i));
    const RotateFlip drawn = RotateFlip::draw(rng);
    ++turns[static_cast<size_t>(drawn.quarter_turns)];
    ++flips[static_cast<size_t>(drawn.vertical + 2 * drawn.horizontal)];
  }
  CHECK(turns[0] == doctest::Approx(n * 0.625).epsilon(0.03));  // half, and a quarter of the other half
  for (size_t k = 1; k < 4; ++k) CHECK(turns[k] == doctest::Approx(n * 0.125).epsilon(0.08));
  CHECK(flips[0] == doctest::Approx(n * 0.5).epsilon(0.03));
  for (size_t k = 1; k < 4; ++k) CHECK(flips[k] == doctest::Approx(n / 6.0).epsilon(0.08));
}
