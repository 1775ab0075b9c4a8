#include "lgmsnet/sliding_window.h"

#include <algorithm>
#include <cmath>

#include "core/context.h"
#include "core/error.h"
#include "kernels/softmax/softmax.h"

namespace lgms {
namespace {

std::vector<int64_t> starts_of(int64_t padded, int64_t patch, double overlap) {
  const int64_t step =
      std::max<int64_t>(1, static_cast<int64_t>(std::floor(static_cast<double>(patch) * (1 - overlap))));
  const int64_t gaps = (padded - patch + step - 1) / step;
  std::vector<int64_t> starts(static_cast<size_t>(gaps) + 1);
  for (int64_t i = 1; i <= gaps; ++i)  // rounded, in integers
    starts[static_cast<size_t>(i)] = (2 * i * (padded - patch) + gaps) / (2 * gaps);
  return starts;
}

std::vector<float> profile_of(int64_t patch, bool gaussian) {
  std::vector<float> weights(static_cast<size_t>(patch), 1.f);
  const double centre = static_cast<double>(patch - 1) / 2, sigma = static_cast<double>(patch) / 8;
  for (int64_t i = 0; gaussian && i < patch; ++i) {
    const double t = (static_cast<double>(i) - centre) / sigma;
    weights[static_cast<size_t>(i)] = static_cast<float>(std::exp(-t * t / 2));
  }
  return weights;
}

// The volume [D, H, W, K] with its axes in the order plan.axes, as far as the ring holds it.
class Ring {
 public:
  Ring(const WindowPlan& plan, int64_t classes)
      : plan_(plan),
        x_(plan.size[static_cast<size_t>(plan.axes[1])]),
        y_(plan.size[static_cast<size_t>(plan.axes[2])]),
        k_(classes),
        slices_(plan.ring_slices()),
        sums_(Tensor::empty(Device::cpu, {slices_, x_, y_, k_})) {
    clear(0, slices_);
    int64_t stride = k_;
    for (size_t i : {2u, 1u, 0u}) {
      stride_[static_cast<size_t>(plan.axes[i])] = stride;
      stride *= i == 2 ? y_ : x_;
    }
  }

  // Adds factor * w * softmax(logits) of the window at `start`. flips: bit a is set where the logits run backwards
  // along axis a.
  void add(const Size3& start, const TensorView& logits, int flips, float factor) {
    const WindowPlan& p = plan_;
    const int64_t depth = p.patch[0], height = p.patch[1], width = p.patch[2];
    Context& context = Context::current();
    const auto softmax_add = kernels::pick(kernels::softmax_add_impls(), context, Device::cpu).run;
    const int64_t scratch = kernels::aligned_bytes<float>(kernels::softmax_scratch(width, k_)),
                  ld = logits.row_stride();
    const Scratch scratches(context.memory(), context.threads() * scratch);
    // The part of the window that is volume, not padding.
    Size3 first, last;
    for (size_t a = 0; a < 3; ++a) {
      first[a] = std::max<int64_t>(0, p.origin[a] - start[a]);
      last[a] = std::min(p.patch[a], p.origin[a] + p.size[a] - start[a]);
    }
    // Along W the ring may end within a row, which goes on at its beginning.
    const int64_t end = p.axes[0] == 2 ? (start[2] + first[2] - p.origin[2]) / slices_ * slices_ + slices_ : p.size[2];
    const int64_t whole = std::min(last[2], end + p.origin[2] - start[2]);
    const int64_t rows = last[1] - first[1];
    parallel_ranges((last[0] - first[0]) * rows, 8, [&](int64_t from, int64_t to, int worker) {
      for (int64_t unit = from; unit < to; ++unit) {
        const int64_t d = first[0] + unit / rows, h = first[1] + unit % rows;
        const int64_t row = (flips & 1 ? depth - 1 - d : d) * height + (flips & 2 ? height - 1 - h : h);
        const float weight = factor * p.profile[0][static_cast<size_t>(d)] * p.profile[1][static_cast<size_t>(h)];
        float* const into = sums_.data<float>() + offset(0, start[0] + d) + offset(1, start[1] + h);
        const auto add = [&](int64_t w, int64_t until) {
          softmax_add({until - w, k_, flips & 4 ? -ld : ld, stride_[2], weight},
                      logits.data<float>() + (row * width + (flips & 4 ? width - 1 - w : w)) * ld,
                      p.profile[2].data() + w, into + offset(2, start[2] + w),
                      scratches.as<float>() + worker * scratch / int64_t{sizeof(float)});
        };
        add(first[2], whole);
        if (whole < last[2]) add(whole, last[2]);
      }
    });
  }

  // Hands on the slices [first, last) as probabilities and makes room for later ones.
  void finish(int64_t first, int64_t last, const SlabSink& sink) {
    while (first < last) {
      const int64_t slot = first % slices_, count = std::min(last - first, slices_ - slot), slice = x_ * y_ * k_;
      float* const at = sums_.data<float>() + slot * slice;
      normalise(first, count, at);
      sink(first, TensorView(at, DType::f32, {count, x_, y_, k_}));
      clear(slot, count);
      first += count;
    }
  }

 private:
  // Of a voxel of the padded volume along one axis.
  int64_t offset(size_t axis, int64_t voxel) const {
    const int64_t i = voxel - plan_.origin[axis];
    return (static_cast<int>(axis) == plan_.axes[0] ? i % slices_ : i) * stride_[axis];
  }

  void clear(int64_t slot, int64_t count) const {
    const int64_t slice = x_ * y_ * k_;
    float* const at = sums_.data<float>() + slot * slice;
    parallel_ranges(count, 1,
                    [&](int64_t from, int64_t to, int) { std::fill_n(at + from * slice, (to - from) * slice, 0.f); });
  }

  void normalise(int64_t first, int64_t count, float* at) const {
    const auto sums = [this](size_t i) { return plan_.sums[static_cast<size_t>(plan_.axes[i])].data(); };
    parallel_ranges(count * x_, 8, [&](int64_t from, int64_t to, int) {
      for (int64_t row = from; row < to; ++row) {
        const float outer = sums(0)[first + row / x_] * sums(1)[row % x_];
        float* p = at + row * y_ * k_;
        for (int64_t y = 0; y < y_; ++y)
          for (const float weight = outer * sums(2)[y], *const end = p + k_; p < end; ++p) *p /= weight;
      }
    });
  }

  const WindowPlan& plan_;
  int64_t x_, y_, k_, slices_;
  Tensor sums_;
  std::array<int64_t, 3> stride_{};
};

// The voxels of the window, backwards along the axes in flips.
void cut(const TensorView& image, const Size3& start, const Size3& patch, int flips, const Tensor& into) {
  const int64_t depth = patch[0], height = patch[1], width = patch[2];
  const int64_t c = image.channels(), h_all = image.shape()[1], w_all = image.shape()[2];
  parallel_ranges(depth * height, 64, [&](int64_t first, int64_t last, int) {
    for (int64_t unit = first; unit < last; ++unit) {
      const int64_t d = unit / height, h = unit % height, from_d = start[0] + (flips & 1 ? depth - 1 - d : d),
                    from_h = start[1] + (flips & 2 ? height - 1 - h : h);
      const float* const from =
          image.data<float>() + ((from_d * h_all + from_h) * w_all + start[2]) * image.row_stride();
      float* const row = into.data<float>() + unit * width * c;
      if (!(flips & 4) && image.is_dense())
        std::copy_n(from, width * c, row);
      else
        for (int64_t w = 0; w < width; ++w)
          std::copy_n(from + (flips & 4 ? width - 1 - w : w) * image.row_stride(), c, row + w * c);
    }
  });
}

}  // namespace

int64_t WindowPlan::windows() const {
  return static_cast<int64_t>(starts[0].size() * starts[1].size() * starts[2].size());
}
int64_t WindowPlan::ring_slices() const {
  const auto longest = static_cast<size_t>(axes[0]);
  return std::min(size[longest], patch[longest]);
}
int64_t WindowPlan::ring_size(int64_t classes) const {
  return ring_slices() * size[static_cast<size_t>(axes[1])] * size[static_cast<size_t>(axes[2])] * classes;
}

WindowPlan plan_windows(const Size3& size, const Size3& patch, double overlap, bool gaussian) {
  check(overlap >= 0 && overlap < 1, ErrorKind::usage, "[windows] overlap: expected at least 0 and below 1, got ",
        overlap);
  WindowPlan plan{size, patch, {}, {}, {0, 1, 2}, {}, {}, {}};
  for (size_t a = 0; a < 3; ++a) {
    check(size[a] > 0 && patch[a] > 0, ErrorKind::usage, "[windows] expected sizes above 0, got a volume of ", size[a],
          " and a patch of ", patch[a], " along axis ", a);
    plan.padded[a] = std::max(size[a], patch[a]);
    plan.origin[a] = (plan.padded[a] - size[a]) / 2;
    plan.starts[a] = starts_of(plan.padded[a], patch[a], overlap);
    plan.profile[a] = profile_of(patch[a], gaussian);
    std::vector<double> sums(static_cast<size_t>(plan.padded[a]));
    for (int64_t start : plan.starts[a])
      for (int64_t i = 0; i < patch[a]; ++i)
        sums[static_cast<size_t>(start + i)] += plan.profile[a][static_cast<size_t>(i)];
    plan.sums[a].assign(sums.begin() + plan.origin[a], sums.begin() + plan.origin[a] + size[a]);
  }
  const auto longest = static_cast<int>(std::max_element(size.begin(), size.end()) - size.begin());
  std::rotate(plan.axes.begin(), plan.axes.begin() + longest, plan.axes.begin() + longest + 1);
  return plan;
}

void run_windows(const WindowPlan& plan, const TensorView& image, int64_t classes, const PatchNetwork& network,
                 const SlabSink& sink, const WindowOptions& options) {
  const auto [depth, height, width] = plan.padded;
  check(image.shape().rank() == 4 && image.shape() == Shape{depth, height, width, image.channels()} &&
            image.dtype() == DType::f32,
        ErrorKind::usage, "[windows] image: expected f32 ", Shape{depth, height, width}, " with channels, got ",
        image.dtype(), " ", image.shape());
  const int flips = options.mirror ? 8 : 1;
  const int64_t all = plan.windows() * flips;
  int64_t done = 0;
  if (options.progress) options.progress(0, all);
  Ring ring(plan, classes);
  const Shape wanted{1, plan.patch[0], plan.patch[1], plan.patch[2], classes};
  const Tensor patch = Tensor::empty(Device::cpu, wanted.with_channels(image.channels()));

  const auto one = [&](const Size3& start) {
    for (int flip = 0; flip < flips; ++flip) {
      check(!Context::current().stop().requested(), ErrorKind::interrupted, "interrupted after ", done, " of ", all,
            " windows");
      cut(image, start, plan.patch, flip, patch);
      const Tensor logits = network(patch);
      check(logits.shape() == wanted && logits.dtype() == DType::f32, ErrorKind::usage,
            "[windows] logits: expected f32 ", wanted, ", got ", logits.dtype(), " ", logits.shape());
      ring.add(start, logits, flip, 1.f / static_cast<float>(flips));
      if (options.progress) options.progress(++done, all);
    }
  };
  const std::array<size_t, 3> axes{static_cast<size_t>(plan.axes[0]), static_cast<size_t>(plan.axes[1]),
                                   static_cast<size_t>(plan.axes[2])};
  const std::vector<int64_t>& advance = plan.starts[axes[0]];
  int64_t finished = 0;
  for (size_t i = 0; i < advance.size(); ++i) {
    Size3 start;
    start[axes[0]] = advance[i];
    for (int64_t x : plan.starts[axes[1]])
      for (int64_t y : plan.starts[axes[2]]) {
        start[axes[1]] = x;
        start[axes[2]] = y;
        one(start);
      }
    const int64_t size = plan.size[axes[0]];
    const int64_t end = i + 1 < advance.size() ? advance[i + 1] : size;  // one window, or no padding, along this axis
    ring.finish(finished, end, sink);
    finished = end;
  }
}

}  // namespace lgms
