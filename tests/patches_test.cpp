#include "nn/data/patches.h"

#include <set>

#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::nn;
using transform::Orientation;

namespace {

// A volume whose voxels tell where they are: 10000 d + 100 h + w, labelled 1 in one voxel.
Example numbered(const Size3& size, const Size3& marked) {
  Example e{"numbered", Tensor::empty({size[0], size[1], size[2], 1}),
            Tensor::zeros({size[0], size[1], size[2], 1}, DType::u8)};
  float* v = e.image.data<float>();
  for (int64_t d = 0; d < size[0]; ++d)
    for (int64_t h = 0; h < size[1]; ++h)
      for (int64_t w = 0; w < size[2]; ++w) *v++ = static_cast<float>(10000 * d + 100 * h + w);
  e.masks.data<uint8_t>()[(marked[0] * size[1] + marked[1]) * size[2] + marked[2]] = 1;
  return e;
}

}  // namespace

TEST_CASE("cut: inside, across every face, beyond; both rules") {
  const Example e = numbered({3, 4, 5}, {0, 0, 0});
  for (const Size3 origin : {Size3{0, 0, 0}, Size3{-2, 1, 3}, Size3{2, -3, -1}, Size3{5, 9, -7}})
    for (const auto outside : {transform::Outside::edge, transform::Outside::zero}) {
      const Tensor y = transform::cut(e.image, origin, {4, 3, 4}, outside);
      for (int64_t d = 0; d < 4; ++d)
        for (int64_t h = 0; h < 3; ++h)
          for (int64_t w = 0; w < 4; ++w) {
            const int64_t z = d + origin[0], r = h + origin[1], c = w + origin[2];
            const bool in = z >= 0 && z < 3 && r >= 0 && r < 4 && c >= 0 && c < 5;
            const auto near = [](int64_t i, int64_t n) { return std::min(std::max(i, int64_t{0}), n - 1); };
            const int64_t want = 10000 * near(z, 3) + 100 * near(r, 4) + near(c, 5);
            CHECK(y.data<float>()[(d * 3 + h) * 4 + w] ==
                  (in || outside == transform::Outside::edge ? static_cast<float>(want) : 0));
          }
    }
  CHECK_THROWS(transform::cut(Tensor::zeros({2, 2, 1}), {}, {1, 1, 1}));
}

TEST_CASE("patches: image and labels move together, and every voxel is the volume's") {
  const Example e = numbered({40, 50, 36}, {31, 7, 20});
  const PatchOptions options{.size = {32, 64, 32}, .foreground = 1};
  for (uint32_t sample = 0; sample < 40; ++sample) {
    Rng rng(1, Purpose::augment, 0, sample);
    const Input patch = random_patch(e, options, rng);
    CHECK(patch.image.shape() == Shape{32, 64, 32, 1});
    CHECK(patch.target.shape() == Shape{32, 64, 32});
    CHECK(patch.target.dtype() == DType::i64);
    int64_t marked = 0;  // more than one where padding repeats it
    for (int64_t i = 0; i < patch.target.numel(); ++i)
      if (patch.target.data<int64_t>()[i] == 1) {
        ++marked;
        CHECK(patch.image.data<float>()[i] == 310720);
      }
    CHECK(marked >= 1);
  }
}

TEST_CASE("patches: a move of axes has no mirror image of its own among rotations, and all kinds are drawn") {
  std::set<std::array<int, 6>> kinds;
  int moved = 0;
  for (uint32_t sample = 0; sample < 4000; ++sample) {
    Rng rng(7, Purpose::augment, 0, sample);
    const Orientation m = draw_move(rng);
    CHECK(m.from[2] == 2);
    kinds.insert({m.from[0], m.from[1], m.from[2], m.flip[0], m.flip[1], m.flip[2]});
    moved += m == Orientation{} ? 0 : 1;
  }
  CHECK(kinds.size() == 16);
  CHECK(moved / 4000.0 == doctest::Approx(1 - 0.8 * 0.8 * 0.8 * 0.8).epsilon(0.1));
}

TEST_CASE("patches: foreground is centred as often as asked, and both kinds exist without the other") {
  const Example e = numbered({96, 96, 96}, {10, 80, 50});
  int hits = 0;
  for (uint32_t sample = 0; sample < 200; ++sample) {
    Rng rng(3, Purpose::augment, 1, sample);
    const Input patch = random_patch(e, {.size = {32, 32, 32}, .foreground = 0.5}, rng);
    for (int64_t i = 0; i < patch.target.numel(); ++i) hits += patch.target.data<int64_t>()[i] == 1;
  }
  CHECK(hits > 80);
  CHECK(hits < 130);
  Example none = e;
  none.masks = Tensor::zeros(e.masks.shape(), DType::u8);
  Rng rng(3, Purpose::augment);
  CHECK(random_patch(none, {.size = {32, 32, 32}, .foreground = 1}, rng).image.shape() == Shape{32, 32, 32, 1});
  none.masks = Tensor::full(e.masks.shape(), 1, DType::u8);
  CHECK(random_patch(none, {.size = {32, 32, 32}, .foreground = 0}, rng).image.shape() == Shape{32, 32, 32, 1});
}

TEST_CASE("patches: small volumes are padded on both sides by the rule") {
  const Example e = numbered({10, 40, 40}, {5, 20, 20});
  Rng rng(1, Purpose::augment, 0, 3);
  const Input zero = random_patch(e, {.size = {32, 32, 32}, .outside = transform::Outside::zero}, rng);
  CHECK(zero.image.data<float>()[0] == 0);
  const Input edge = random_patch(e, {.size = {32, 32, 32}}, rng);
  const auto values = edge.image.span<float>();
  CHECK(std::none_of(values.begin(), values.end(), [](float v) { return v == 0; }));
}

TEST_CASE("patches: the size comes from the median of the data") {
  CHECK(patch_of({{36, 50, 35}, {31, 40, 26}, {43, 58, 46}}) == Size3{32, 64, 32});
  CHECK(patch_of({{40, 40, 8}, {80, 56, 8}}) == Size3{64, 64, 32});  // medians 60 and 48; halves are rounded up
  CHECK(patch_of({{512, 8, 100}}) == Size3{96, 32, 96});
}

TEST_CASE("patches: jitter changes intensities now and then, never labels") {
  const Example e = numbered({32, 32, 32}, {1, 1, 1});
  int scaled = 0;
  for (uint32_t sample = 0; sample < 300; ++sample) {
    Rng rng(5, Purpose::augment, 0, sample), same(5, Purpose::augment, 0, sample);
    const Input jittered = random_patch(e, {.size = {32, 32, 32}, .jitter = true}, rng);
    const Input plain = random_patch(e, {.size = {32, 32, 32}}, same);
    bool equal = true, near = true;
    for (int64_t i = 0; i < plain.image.numel(); ++i) {
      const float a = jittered.image.data<float>()[i], b = plain.image.data<float>()[i];
      near = near && std::abs(a - b) <= 0.1001f * b + 0.1001f;
      equal = equal && a == b;
    }
    CHECK(near);
    scaled += equal ? 0 : 1;
  }
  CHECK(scaled / 300.0 == doctest::Approx(0.19).epsilon(0.4));
}
