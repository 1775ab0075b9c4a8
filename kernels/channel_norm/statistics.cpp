
#include <cmath>

#include "kernels/channel_norm/walk.h"

namespace lgms::kernels {
namespace {

// Mean and sum of squared deviations of an image, per channel, from its blocks' partials, in block order. Sums are
// carried around the first block's pivots: q around p + d is q - 2ds + nd^2 around p. sum: 2 * walk.c, scratch.
template <class T>
void combine_moments(const ChannelNormWalk& walk, const T* partials, int64_t image, double* mean, double* deviations,
                     double* sum) {
  const int64_t c = walk.c, channels = c / walk.join;
  const T* pivot = partials + image * walk.blocks.count * 3 * c;
  double* const squares = sum + c;
  std::fill_n(sum, 2 * c, 0.);
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

ChannelNormWalk walk_of(const NormDims& d) { return {d.n, d.s, d.c, d.ldx == d.c}; }

template <class T>
int64_t partial_bytes(const ChannelNormWalk& walk) {
  return aligned_bytes<T>(walk.pieces() * 3 * walk.c);
}

}  // namespace

// The partials of blocks, then of every image mean, sum of squared deviations, and two rows of sums.
template <class T>
int64_t norm_statistics_bytes(const NormDims& d) {
  const ChannelNormWalk walk = walk_of(d);
  return partial_bytes<T>(walk) + aligned_bytes<double>(2 * d.n * (d.c + walk.c));
}

template <class T>
void norm_statistics(const NormDims& d, const T* x, double* mean, double* variance, void* scratch,
                     const ChannelNormKernels<T>& kernels) {
  const int64_t n = d.n, c = d.c, per_set = d.sets.channels_per_set;
  if (n * d.s * c == 0) {
    std::fill_n(mean, d.m() * c, 0.);
    std::fill_n(variance, d.m() * c, 0.);
    return;
  }
  const ChannelNormWalk walk = walk_of(d);
  T* const partials = static_cast<T*>(scratch);
  walk.run([&](int64_t piece, int64_t, int64_t first, int64_t rows) {
    kernels.moments(walk.dims(rows, d.before, Activation::none, d.ldx, d.ldx, d.ldx), x + first * walk.stride(d.ldx),
                    partials + piece * 3 * walk.c);
  });
  double* const means = reinterpret_cast<double*>(static_cast<char*>(scratch) + partial_bytes<T>(walk));
  double *const deviations = means + n * c, *const sums = deviations + n * c;
  Context::current().parallel(n, [&](int64_t image, int) {
    combine_moments(walk, partials, image, means + image * c, deviations + image * c, sums + image * 2 * walk.c);
  });
  const double s = static_cast<double>(walk.s * walk.join);
  const int64_t images = d.sets.over_images ? n : 1;
  const double count = static_cast<double>(images * per_set);
  for (int64_t m = 0; m < d.m(); ++m)
    for (int64_t first = 0; first < c; first += per_set) {
      double mu = 0, sum = 0;
      for (int64_t image = m; image < m + images; ++image)
        for (int64_t i = first; i < first + per_set; ++i) mu += means[image * c + i] / count;
      for (int64_t image = m; image < m + images; ++image)
        for (int64_t i = first; i < first + per_set; ++i) {
          const double off = means[image * c + i] - mu;
          sum += deviations[image * c + i] / s + off * off;
        }
      for (int64_t i = first; i < first + per_set; ++i) {
        mean[m * c + i] = mu;
        variance[m * c + i] = sum / count;
      }
    }
}

template int64_t norm_statistics_bytes<float>(const NormDims&);
template int64_t norm_statistics_bytes<double>(const NormDims&);
template void norm_statistics(const NormDims&, const float*, double*, double*, void*, const ChannelNormKernels<float>&);
template void norm_statistics(const NormDims&, const double*, double*, double*, void*,
                              const ChannelNormKernels<double>&);

void channel_norm_statistics(const TensorView& x, Activation before, const NormSets& sets, const TensorView& mean,
                             const TensorView& variance) {
  expect_sets(x, sets);
  const int64_t m = sets.over_images ? 1 : x.shape()[0];
  expect_table("mean", mean, m, x);
  expect_table("variance", variance, m, x);
  const NormDims d = norm_dims(x, x, {}, before, Activation::none, sets);
  const HostRows host(x.device());
  const auto run_as = [&]<class T>(const ChannelNormKernels<T>& kernels) {
    const Scratch scratch(Context::current().allocator(), norm_statistics_bytes<T>(d));
    norm_statistics(d, x.data<T>(), mean.data<double>(), variance.data<double>(), scratch.as<void>(), kernels);
  };
  if (x.dtype() == DType::f64)
    run_as(kernels_of<double>(x.device()));
  else
    run_as(kernels_of<float>(x.device()));
}

}  // namespace lgms::kernels
