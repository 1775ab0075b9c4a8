#include "lgmsnet/sliding_window.h"

#include <cmath>
#include <numeric>

#include "core/transform/layout.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

namespace {

Shape shape_of(const Size3& size, int64_t channels) { return {size[0], size[1], size[2], channels}; }

// Logits that depend on the voxel and on its place in the patch, so that every window says something else.
Tensor uneven(const Tensor& patch, int64_t classes) {
  const Shape& s = patch.shape();
  const Tensor logits = Tensor::empty(s.with_channels(classes + 2));  // read through a slice: a row stride above K
  for (int64_t row = 0; row < patch.rows(); ++row)
    for (int64_t k = 0; k < classes; ++k)
      logits.data<float>()[row * (classes + 2) + k] =
          patch.data<float>()[row * patch.channels()] * static_cast<float>(k) +
          std::sin(static_cast<float>(row * (k + 1)));
  return logits.slice(0, classes);
}

// The volume's probabilities gathered in its own axes; slabs must come in order, without gaps.
struct Gathered {
  const WindowPlan& plan;
  Tensor volume;
  int64_t next = 0;
  Gathered(const WindowPlan& p, int64_t classes) : plan(p), volume(Tensor::full(shape_of(p.size, classes), -1)) {}
  SlabSink sink() {
    return [this](int64_t first, const TensorView& slab) {
      CHECK(first == next);
      const Shape& s = slab.shape();
      next += s[0];
      for (int64_t a = 0; a < s[0]; ++a)
        for (int64_t x = 0; x < s[1]; ++x)
          for (int64_t y = 0; y < s[2]; ++y) {
            Size3 at;
            at[static_cast<size_t>(plan.axes[0])] = first + a;
            at[static_cast<size_t>(plan.axes[1])] = x;
            at[static_cast<size_t>(plan.axes[2])] = y;
            for (int64_t k = 0; k < s[3]; ++k)
              volume.data<float>()[((at[0] * plan.size[1] + at[1]) * plan.size[2] + at[2]) * s[3] + k] =
                  slab.data<float>()[((a * s[1] + x) * s[2] + y) * s[3] + k];
          }
    };
  }
};

Tensor gather(const WindowPlan& plan, const Tensor& image, int64_t classes, const PatchNetwork& network,
              const WindowOptions& options = {}) {
  Gathered gathered(plan, classes);
  run_windows(plan, image, classes, network, gathered.sink(), options);
  CHECK(gathered.next == plan.size[static_cast<size_t>(plan.axes[0])]);
  return gathered.volume;
}

// The whole padded volume in double: sums of w softmax and of w over all windows, divided, cropped.
Tensor naive(const WindowPlan& plan, const Tensor& image, int64_t classes, const PatchNetwork& network) {
  const int64_t pd = plan.padded[0], ph = plan.padded[1], pw = plan.padded[2];
  std::vector<double> sums(static_cast<size_t>(pd * ph * pw * classes)), weights(static_cast<size_t>(pd * ph * pw));
  for (int64_t z : plan.starts[0])
    for (int64_t y : plan.starts[1])
      for (int64_t x : plan.starts[2]) {
        const Tensor patch = Tensor::empty({1, plan.patch[0], plan.patch[1], plan.patch[2], 1});
        const auto each = [&](const auto& f) {
          int64_t row = 0;
          for (int64_t d = 0; d < plan.patch[0]; ++d)
            for (int64_t h = 0; h < plan.patch[1]; ++h)
              for (int64_t w = 0; w < plan.patch[2]; ++w, ++row)
                f(row, static_cast<size_t>(((z + d) * ph + y + h) * pw + x + w),
                  static_cast<double>(plan.profile[0][static_cast<size_t>(d)]) *
                      plan.profile[1][static_cast<size_t>(h)] * plan.profile[2][static_cast<size_t>(w)]);
        };
        each([&](int64_t row, size_t at, double) { patch.data<float>()[row] = image.data<float>()[at]; });
        const Tensor logits = network(patch).to(DType::f64).dense();
        each([&](int64_t row, size_t at, double w) {
          const double* l = logits.data<double>() + row * classes;
          double sum = 0;
          for (int64_t k = 0; k < classes; ++k) sum += std::exp(l[k]);
          for (int64_t k = 0; k < classes; ++k)
            sums[at * static_cast<size_t>(classes) + static_cast<size_t>(k)] += w * std::exp(l[k]) / sum;
          weights[at] += w;
        });
      }
  const Tensor p = Tensor::empty(shape_of(plan.size, classes));
  float* next = p.data<float>();
  for (int64_t d = 0; d < plan.size[0]; ++d)
    for (int64_t h = 0; h < plan.size[1]; ++h)
      for (int64_t w = 0; w < plan.size[2]; ++w) {
        const auto at = static_cast<size_t>(((d + plan.origin[0]) * ph + h + plan.origin[1]) * pw + w + plan.origin[2]);
        for (int64_t k = 0; k < classes; ++k)
          *next++ = static_cast<float>(sums[at * static_cast<size_t>(classes) + static_cast<size_t>(k)] / weights[at]);
      }
  return p;
}

struct Case {
  Size3 size, patch;
  double overlap;
};
const std::vector<Case> kCases{{{8, 8, 8}, {8, 8, 8}, 0.5},    {{20, 9, 8}, {8, 8, 8}, 0.5},
                               {{7, 21, 10}, {8, 6, 4}, 0.25}, {{5, 6, 23}, {4, 8, 8}, 0.75},
                               {{3, 2, 5}, {8, 8, 8}, 0.5},    {{9, 30, 9}, {4, 4, 4}, 0},
                               {{1, 1, 17}, {1, 1, 3}, 0.9},   {{33, 33, 12}, {16, 8, 12}, 0.5}};

}  // namespace

TEST_CASE("sliding_window: windows lie inside, advance by at most a step, cover all, and their weights add up") {
  for (const Case& c : kCases)
    for (bool gaussian : {false, true}) {
      const WindowPlan plan = plan_windows(c.size, c.patch, c.overlap, gaussian);
      CAPTURE(plan.size);
      CHECK(c.size[static_cast<size_t>(plan.axes[0])] == *std::max_element(c.size.begin(), c.size.end()));
      CHECK(plan.axes[1] < plan.axes[2]);
      for (size_t a = 0; a < 3; ++a) {
        CHECK(plan.padded[a] == std::max(c.size[a], c.patch[a]));
        const auto& starts = plan.starts[a];
        const int64_t step =
            std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(c.patch[a]) * (1 - c.overlap)));
        CHECK(starts.front() == 0);
        CHECK(starts.back() == plan.padded[a] - c.patch[a]);
        for (size_t i = 1; i < starts.size(); ++i) {
          CHECK(starts[i] > starts[i - 1]);
          CHECK(starts[i] - starts[i - 1] <= step);
        }
        for (int64_t i = 0; i < c.size[a]; ++i) {
          double sum = 0;
          for (int64_t start : starts)
            if (const int64_t at = i + plan.origin[a] - start; at >= 0 && at < c.patch[a])
              sum += plan.profile[a][static_cast<size_t>(at)];
          CHECK(sum > 0);
          CHECK(plan.sums[a][static_cast<size_t>(i)] == doctest::Approx(sum).epsilon(1e-6));
        }
      }
    }
  const WindowPlan plan = plan_windows({96, 96, 200}, {96, 96, 96}, 0.5, true);
  CHECK(plan.windows() == 4);  // 0, 35, 69, 104
  CHECK(plan.starts[2] == std::vector<int64_t>{0, 35, 69, 104});
  CHECK(plan.profile[0][0] == doctest::Approx(std::exp(-0.5 * 47.5 * 47.5 / 144)));
  CHECK(error_of([] { plan_windows({4, 4, 4}, {4, 4, 4}, 1, true); }).starts_with("[windows] overlap"));
  CHECK(error_of([] { plan_windows({4, 0, 4}, {4, 4, 4}, 0, true); }).starts_with("[windows] expected sizes above 0"));
}

TEST_CASE("sliding_window: equals the sums over the whole volume, whichever axis is the longest, padded or not") {
  for (const Case& c : kCases)
    for (bool gaussian : {false, true}) {
      const WindowPlan plan = plan_windows(c.size, c.patch, c.overlap, gaussian);
      CAPTURE(c.size[0]);
      CAPTURE(c.size[1]);
      CAPTURE(c.size[2]);
      const Tensor image = randn(shape_of(plan.padded, 1), 3, DType::f32);
      const PatchNetwork network = [](const Tensor& patch) { return uneven(patch, 3); };
      const Tensor p = gather(plan, image, 3, network), want = naive(plan, image, 3, network);
      // A softmax carries a few units in the last place, a weight and a product one each, and so do the sums of all
      // windows at a voxel, at most 1000 here (overlap 0.9 along one axis: 3).
      CHECK(max_difference(p, want) < 32 * std::numeric_limits<float>::epsilon());
    }
}

TEST_CASE("sliding_window: the same bits for any number of threads, and for a ring as for separate slabs") {
  const WindowPlan plan = plan_windows({11, 40, 13}, {8, 16, 8}, 0.5, true);
  const Tensor image = randn(shape_of(plan.padded, 1), 3, DType::f32);
  const PatchNetwork network = [](const Tensor& patch) { return uneven(patch, 5); };
  const Tensor one = gather(plan, image, 5, network, {.mirror = true, .progress = {}});
  for (int threads : {2, 3}) {
    Context context(with_threads(threads));
    const Context::Scope scope(context);
    CHECK(max_difference(gather(plan, image, 5, network, {.mirror = true, .progress = {}}), one) == 0);
  }
}

TEST_CASE("sliding_window: a network that is sure gives the volume back") {
  for (const Case& c : kCases)
    for (bool gaussian : {false, true}) {
      const WindowPlan plan = plan_windows(c.size, c.patch, c.overlap, gaussian);
      const Tensor classes = integers(shape_of(plan.padded, 1), 5);  // -4..4
      // Logits 0 and 200: probabilities of exactly 0 (below 1e-37) and 1 after the blend, up to the rounding of
      // weights.
      const Tensor p = gather(plan, classes, 9, [](const Tensor& patch) {
        const Tensor logits = Tensor::zeros(patch.shape().with_channels(9));
        for (int64_t row = 0; row < patch.rows(); ++row)
          logits.data<float>()[row * 9 + static_cast<int64_t>(patch.data<float>()[row]) + 4] = 200;
        return logits;
      });
      int64_t wrong = 0, row = 0;
      double off = 0;
      for (int64_t d = 0; d < c.size[0]; ++d)
        for (int64_t h = 0; h < c.size[1]; ++h)
          for (int64_t w = 0; w < c.size[2]; ++w, ++row) {
            const float* v = p.data<float>() + row * 9;
            const int64_t want =
                static_cast<int64_t>(
                    classes
                        .data<float>()[((d + plan.origin[0]) * plan.padded[1] + h + plan.origin[1]) * plan.padded[2] +
                                       w + plan.origin[2]]) +
                4;
            wrong += std::max_element(v, v + 9) - v != want;
            off = std::max(off, std::abs(static_cast<double>(v[want]) - 1));
          }
      CHECK(wrong == 0);
      CHECK(off <= (gaussian ? 16 * std::numeric_limits<float>::epsilon() : 0));
    }
}

TEST_CASE(
    "sliding_window: mirroring shows the network every flip once, and changes nothing for one that has no sides") {
  const WindowPlan plan = plan_windows({6, 9, 8}, {6, 4, 8}, 0.5, true);
  const Tensor image = randn(shape_of(plan.padded, 1), 3, DType::f32);
  const PatchNetwork pointwise = [](const Tensor& patch) {  // equivariant: every voxel by itself
    const Tensor logits = Tensor::empty(patch.shape().with_channels(2));
    for (int64_t row = 0; row < patch.rows(); ++row) {
      logits.data<float>()[2 * row] = 0;
      logits.data<float>()[2 * row + 1] = patch.data<float>()[row];
    }
    return logits;
  };
  const WindowOptions mirror{.mirror = true, .progress = {}};
  CHECK(max_difference(gather(plan, image, 2, pointwise), gather(plan, image, 2, pointwise, mirror)) <
        8 * std::numeric_limits<float>::epsilon());

  // A network that says the number of the voxel in the patch: flipped back and averaged, by hand.
  const WindowPlan single = plan_windows({2, 2, 3}, {2, 2, 3}, 0, false);
  std::vector<float> seen;
  const Tensor p = gather(
      single, integers({2, 2, 3, 1}, 1), 2,
      [&](const Tensor& patch) {
        seen.push_back(patch.data<float>()[0]);
        const Tensor logits = Tensor::zeros(patch.shape().with_channels(2));
        for (int64_t row = 0; row < 12; ++row) logits.data<float>()[2 * row + 1] = static_cast<float>(row) / 4;
        return logits;
      },
      mirror);
  const Tensor corners = integers({2, 2, 3, 1}, 1);
  std::vector<float> want;
  for (int64_t f = 0; f < 8; ++f)
    want.push_back(corners.data<float>()[((f & 1 ? 1 : 0) * 2 + (f & 2 ? 1 : 0)) * 3 + (f & 4 ? 2 : 0)]);
  CHECK(seen == want);
  for (int64_t row = 0; row < 12; ++row) {
    const int64_t d = row / 6, h = row / 3 % 2, w = row % 3;
    double mean = 0;
    for (int64_t f = 0; f < 8; ++f) {
      const double l =
          static_cast<double>(((f & 1 ? 1 - d : d) * 2 + (f & 2 ? 1 - h : h)) * 3 + (f & 4 ? 2 - w : w)) / 4;
      mean += 1 / (1 + std::exp(-l)) / 8;
    }
    CHECK(p.data<float>()[2 * row + 1] == doctest::Approx(mean).epsilon(1e-6));
  }
}

TEST_CASE("sliding_window: progress counts every run, a stop ends it between two, wrong logits are named") {
  const WindowPlan plan = plan_windows({12, 8, 8}, {4, 8, 8}, 0.5, false);
  const Tensor image = randn(shape_of(plan.padded, 1), 3, DType::f32);
  Context context(with_threads(1));
  const Context::Scope scope(context);
  std::vector<int64_t> progress;
  WindowOptions options;
  options.progress = [&](int64_t done, int64_t all) {
    CHECK(all == plan.windows());
    progress.push_back(done);
    if (done == 3) context.stop().request();
  };
  const PatchNetwork network = [](const Tensor& patch) { return uneven(patch, 2); };
  CHECK(error_of([&] {
          run_windows(
              plan, image, 2, network, [](int64_t, const TensorView&) {}, options);
        }) == "interrupted after 3 of 5 windows");
  CHECK(progress == std::vector<int64_t>{0, 1, 2, 3});
  Context other(with_threads(1));
  const Context::Scope inner(other);
  CHECK(error_of([&] { gather(plan, image, 3, network); }).starts_with("[windows] logits"));
  CHECK(error_of([&] { gather(plan, randn({4, 4, 4, 1}, 1, DType::f32), 2, network); }).starts_with("[windows] image"));
}
