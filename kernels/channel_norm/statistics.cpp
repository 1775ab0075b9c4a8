#include <cmath>

#include "kernels/channel_norm/walk.h"

namespace lgms::kernels {
namespace {

// Mean and sum of squared deviations of an image, per channel, from its moments [blocks, 3, c], c = join * channels, in
// block order; rows(b): how many were summed in a block. Sums are carried around the first block's pivots: q around
// p + d is q - 2ds + nd^2 around p. sum: 2 * c, scratch.
template <class T>
void combine_moments(const T* pivot, int64_t blocks, int64_t c, int64_t join, FunctionRef<int64_t(int64_t)> rows_of,
                     double* mean, double* deviations, double* sum) {
  const int64_t channels = c / join;
  double* const squares = sum + c;
  double all_rows = 0;
  std::fill_n(sum, 2 * c, 0.);
  for (int64_t b = 0; b < blocks; ++b) {
    const T* p = pivot + b * 3 * c;
    const double rows = static_cast<double>(rows_of(b));
    all_rows += rows;
    for (int64_t i = 0; i < c; ++i) {
      const double d = static_cast<double>(p[i]) - pivot[i], s = p[c + i];
      sum[i] += s + rows * d;
      squares[i] += p[2 * c + i] + d * (2 * s + rows * d);
    }
  }
  const double all = all_rows * static_cast<double>(join);
  for (int64_t i = 0; i < channels; ++i) {
    double total = 0, q = 0;
    for (int64_t j = i; j < c; j += channels) {
      const double d = static_cast<double>(pivot[j]) - pivot[i];
      total += sum[j] + all_rows * d;
      q += squares[j] + d * (2 * sum[j] + all_rows * d);
    }
    mean[i] = pivot[i] + total / all;
    deviations[i] = std::max(0.0, q - total * total / all);
  }
}

// Of every set, from means and sums of squared deviations [n, c].
void combine_images(const NormDims& d, const double* means, const double* deviations, double* mean, double* variance) {
  const int64_t c = d.c, per_set = d.sets.channels_per_set;
  const double s = static_cast<double>(d.s);
  const int64_t images = d.sets.over_images ? d.n : 1;
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
  const int64_t n = d.n, c = d.c;
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
    const auto rows = [&](int64_t b) { return walk.blocks.last(b) - walk.blocks.first(b); };
    combine_moments<T>(partials + image * walk.blocks.count * 3 * walk.c, walk.blocks.count, walk.c, walk.join, rows,
                       means + image * c, deviations + image * c, sums + image * 2 * walk.c);
  });
  combine_images(d, means, deviations, mean, variance);
}

template int64_t norm_statistics_bytes<float>(const NormDims&);
template int64_t norm_statistics_bytes<double>(const NormDims&);
template void norm_statistics(const NormDims&, const float*, double*, double*, void*, const ChannelNormKernels<float>&);
template void norm_statistics(const NormDims&, const double*, double*, double*, void*,
                              const ChannelNormKernels<double>&);

void run_statistics(const PreparedNorm& p, const float* moments, int64_t blocks, FunctionRef<int64_t(int64_t)> pixels,
                    double* mean, double* variance, void* scratch) {
  const NormDims& d = p.dims;
  double *const means = static_cast<double*>(scratch), *const deviations = means + d.n * d.c,
                *const sums = deviations + d.n * d.c;
  Context::current().parallel(d.n, [&](int64_t image, int) {
    combine_moments(moments + image * blocks * 3 * d.c, blocks, d.c, 1, pixels, means + image * d.c,
                    deviations + image * d.c, sums + image * 2 * d.c);
  });
  combine_images(d, means, deviations, mean, variance);
}

void channel_norm_statistics(const TensorView& x, Activation before, const NormSets& sets, const TensorView& mean,
                             const TensorView& variance) {
  expect_sets(x, sets);
  const int64_t m = sets.over_images ? 1 : x.shape()[0];
  expect_table("mean", mean, m, x);
  expect_table("variance", variance, m, x);
  const NormDims d = norm_dims(x, x, {}, before, Activation::none, sets);
  const HostRows host(x.device());
  const auto run_as = [&]<class T>(const ChannelNormKernels<T>& kernels) {
    const Scratch scratch(Context::current().memory(), norm_statistics_bytes<T>(d));
    norm_statistics(d, x.data<T>(), mean.data<double>(), variance.data<double>(), scratch.as<void>(), kernels);
  };
  if (x.dtype() == DType::f64)
    run_as(kernels_of<double>(x.device()));
  else
    run_as(kernels_of<float>(x.device()));
}

}  // namespace lgms::kernels
