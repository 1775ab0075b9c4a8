
#include <cmath>
#include <vector>

#include "kernels/channel_norm/walk.h"

namespace lgms::kernels {
namespace {

// Mean and sum of squared deviations of an image, per channel, from its blocks' partials, in block order. Sums are
// carried around the first block's pivots: q around p + d is q - 2ds + nd^2 around p.
template <class T>
void combine_moments(const ChannelNormWalk& walk, const T* partials, int64_t image, double* mean, double* deviations) {
  const int64_t c = walk.c, channels = c / walk.join;
  const T* pivot = partials + image * walk.blocks.count * 3 * c;
  std::vector<double> sum(static_cast<size_t>(c)), squares(sum);
  for (int64_t b = 0; b < walk.blocks.count; ++b) {
    const T* p = pivot + b * 3 * c;
    const double rows = static_cast<double>(walk.blocks.last(b) - walk.blocks.first(b));
    for (int64_t i = 0; i < c; ++i) {
      const double d = static_cast<double>(p[i]) - pivot[i], s = p[c + i];
      sum[i] += s + rows * d;
      squares[i] += p[2 * c + i] + d * (2 * s + rows * d);
    }
  }
  const double rows = static_cast<double>(walk.s), all = rows * static_cast<double>(walk.join);
  for (int64_t i = 0; i < channels; ++i) {
    double total = 0, q = 0;
    for (int64_t j = i; j < c; j += channels) {
      const double d = static_cast<double>(pivot[j]) - pivot[i];
      total += sum[j] + rows * d;
      q += squares[j] + d * (2 * sum[j] + rows * d);
    }
    mean[i] = pivot[i] + total / all;
    deviations[i] = std::max(0.0, q - total * total / all);
  }
}

template <class T>
int64_t partial_bytes(const ChannelNormWalk& walk) {
  return walk.pieces() * 3 * walk.c * static_cast<int64_t>(sizeof(T));
}

template <class T>
void statistics(const TensorView& x, Activation before, const NormSets& sets, const TensorView& mean,
                const TensorView& variance) {
  if (x.numel() == 0) {
    for (const TensorView& t : {mean, variance}) std::fill_n(t.data<double>(), t.numel(), 0.);
    return;
  }
  const ChannelNormWalk walk(x.shape(), x.is_dense());
  const auto& allocator = Context::current().allocator();
  const Scratch memory(allocator, partial_bytes<T>(walk));
  T* partials = memory.as<T>();
  const auto& run = kernels_of<T>(x.device());
  walk.run([&](int64_t piece, int64_t, int64_t first, int64_t rows) {
    run.moments(walk.dims(rows, before, Activation::none, x, x, x), x.data<T>() + first * walk.stride(x),
                partials + piece * 3 * walk.c);
  });

  const int64_t n = walk.n, c = x.channels(), per_set = sets.channels_per_set;
  std::vector<double> means(static_cast<size_t>(n * c)), deviations(means);
  Context::current().parallel(n, [&](int64_t image, int) {
    combine_moments(walk, partials, image, means.data() + image * c, deviations.data() + image * c);
  });
  const double s = static_cast<double>(walk.s * walk.join);
  const int64_t images = sets.over_images ? n : 1;
  const double count = static_cast<double>(images * per_set);
  for (int64_t m = 0; m < mean.shape()[0]; ++m)
    for (int64_t first = 0; first < c; first += per_set) {
      double mu = 0, sum = 0;
      for (int64_t image = m; image < m + images; ++image)
        for (int64_t i = first; i < first + per_set; ++i) mu += means[image * c + i] / count;
      for (int64_t image = m; image < m + images; ++image)
        for (int64_t i = first; i < first + per_set; ++i) {
          const double d = means[image * c + i] - mu;
          sum += deviations[image * c + i] / s + d * d;
        }
      for (int64_t i = first; i < first + per_set; ++i) {
        mean.data<double>()[m * c + i] = mu;
        variance.data<double>()[m * c + i] = sum / count;
      }
    }
}

}  // namespace

int64_t channel_norm_statistics_bytes(const Shape& x) { return partial_bytes<float>(ChannelNormWalk(x, true)); }

void channel_norm_statistics(const TensorView& x, Activation before, const NormSets& sets, const TensorView& mean,
                             const TensorView& variance) {
  expect_sets(x, sets);
  const int64_t m = sets.over_images ? 1 : x.shape()[0];
  expect_table("mean", mean, m, x);
  expect_table("variance", variance, m, x);
  const HostRows host(x.device());
  if (x.dtype() == DType::f64)
    statistics<double>(x, before, sets, mean, variance);
  else
    statistics<float>(x, before, sets, mean, variance);
}

}  // namespace lgms::kernels
