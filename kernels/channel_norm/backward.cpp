#include <vector>

#include "kernels/channel_norm/walk.h"

namespace lgms::kernels {
namespace {

// sums[image, c], products[image, c]: of g and of g * xhat.
template <class T>
void backward_sums(const TensorView& x, const TensorView& dy, Activation before, Activation after,
                   const TensorView& mean, const TensorView& rstd, const ChannelNormTables<T>& tables,
                   const ChannelNormWalk& walk, double* sums, double* products) {
  const Scratch memory(Context::current().memory(), walk.pieces() * 2 * walk.c * static_cast<int64_t>(sizeof(T)));
  T* partials = memory.as<T>();
  const auto& run = kernels_of<T>(x.device());
  walk.run([&](int64_t piece, int64_t image, int64_t first, int64_t rows) {
    run.sums(walk.dims(rows, before, after, x.row_stride(), x.row_stride(), dy.row_stride()), tables.of(image),
             x.data<T>() + first * walk.stride(x.row_stride()), dy.data<T>() + first * walk.stride(dy.row_stride()),
             partials + piece * 2 * walk.c);
  });
  const int64_t c = x.channels();
  Context::current().parallel(walk.n, [&](int64_t image, int) {
    double *sum = sums + image * c, *product = products + image * c;
    for (int64_t piece = image * walk.blocks.count; piece < (image + 1) * walk.blocks.count; ++piece)
      for (int64_t j = 0; j < walk.c; j += c)
        for (int64_t i = 0; i < c; ++i) {
          sum[i] += partials[piece * 2 * walk.c + j + i];
          product[i] += partials[piece * 2 * walk.c + walk.c + j + i];
        }
    const int64_t m = mean.shape()[0] == 1 ? 0 : image;
    for (int64_t i = 0; i < c; ++i) {
      const double mu = mean.data<double>()[m * c + i];
      product[i] = rstd.data<double>()[m * c + i] * (product[i] + (static_cast<T>(mu) - mu) * sum[i]);
    }
  });
}

// The part of dx that comes through mean and rstd: with A, B = sums over the set of gamma*g and of gamma*g*xhat,
// du = rstd * (gamma*g - A/M - xhat*B/M).
template <class T>
void fill_slopes(const ChannelNormTables<T>& tables, const NormSets& sets, int64_t n, int64_t s, const TensorView& mean,
                 const TensorView& rstd, const T* gamma, const double* sums, const double* products) {
  const int64_t c = tables.c, images = sets.over_images ? n : 1;
  const double count = static_cast<double>(images * s * sets.channels_per_set);
  for (int64_t m = 0; m < tables.m; ++m)
    for (int64_t first = 0; first < c; first += sets.channels_per_set) {
      double a = 0, b = 0;
      for (int64_t image = m; image < m + images; ++image)
        for (int64_t i = first; i < first + sets.channels_per_set; ++i) {
          a += (gamma ? gamma[i] : 1.0) * sums[image * c + i];
          b += (gamma ? gamma[i] : 1.0) * products[image * c + i];
        }
      for (int64_t i = first; i < first + sets.channels_per_set; ++i) {
        const double mu = mean.data<double>()[m * c + i], r = rstd.data<double>()[m * c + i];
        const double slope = -r * r * b / count;
        tables.set(3, m, i, slope);
        tables.set(4, m, i, -r * a / count + slope * (static_cast<T>(mu) - mu));
      }
    }
}

template <class T>
void sum_over_images(const double* values, int64_t n, int64_t c, const TensorView& total) {
  for (int64_t i = 0; i < c; ++i) {
    double sum = 0;
    for (int64_t image = 0; image < n; ++image) sum += values[image * c + i];
    total.data<T>()[i] = static_cast<T>(sum);
  }
}

template <class T>
void backward(const TensorView& x, const TensorView& dy, const NormSets& sets, const TensorView& mean,
              const TensorView& rstd, const TensorView& gamma, const TensorView& beta, Activation before,
              Activation after, bool constant_statistics, const TensorView& dx, const TensorView& dgamma,
              const TensorView& dbeta) {
  const NormDims whole = norm_dims(x, x, dy, before, after, sets);
  const ChannelNormWalk walk(whole.n, whole.s, whole.c,
                             x.is_dense() && dy.is_dense() && (!dx.defined() || dx.is_dense()));
  const int64_t n = walk.n, c = x.channels(), s = walk.s * walk.join;
  const Scratch memory(Context::current().memory(), ChannelNormTables<T>::bytes(mean.shape()[0], walk));
  const ChannelNormTables<T> tables{memory.as<T>(), mean.shape()[0], c, walk.join};
  const T* g = data_or_null<T>(gamma);
  tables.fill(mean.data<double>(), rstd.data<double>(), g, data_or_null<T>(beta));
  if (dgamma.defined() || dbeta.defined() || !constant_statistics) {
    std::vector<double> sums(static_cast<size_t>(n * c)), products(sums);
    backward_sums(x, dy, before, after, mean, rstd, tables, walk, sums.data(), products.data());
    if (dgamma.defined()) sum_over_images<T>(products.data(), n, c, dgamma);
    if (dbeta.defined()) sum_over_images<T>(sums.data(), n, c, dbeta);
    if (!constant_statistics) fill_slopes(tables, sets, n, s, mean, rstd, g, sums.data(), products.data());
  }
  if (!dx.defined()) return;
  const auto& run = kernels_of<T>(x.device());
  walk.run([&](int64_t, int64_t image, int64_t first, int64_t rows) {
    run.backward(walk.dims(rows, before, after, x.row_stride(), dx.row_stride(), dy.row_stride()), tables.of(image),
                 x.data<T>() + first * walk.stride(x.row_stride()), dy.data<T>() + first * walk.stride(dy.row_stride()),
                 dx.data<T>() + first * walk.stride(dx.row_stride()));
  });
}

}  // namespace

void channel_norm_backward(const TensorView& x, const TensorView& dy, const NormSets& sets, const TensorView& mean,
                           const TensorView& rstd, const TensorView& gamma, const TensorView& beta, Activation before,
                           Activation after, bool constant_statistics, const TensorView& dx, const TensorView& dgamma,
                           const TensorView& dbeta) {
  expect_sets(x, sets);
  expect_affine(x, mean, rstd, gamma, beta);
  expect_same("dy", dy, x);
  if (dx.defined()) expect_same("dx", dx, x);
  expect_channels("dgamma", dgamma, x);
  expect_channels("dbeta", dbeta, x);
  if (!constant_statistics) expect_table("mean", mean, sets.over_images ? 1 : x.shape()[0], x);
  const HostRows host(x.device());
  if (x.dtype() == DType::f64)
    backward<double>(x, dy, sets, mean, rstd, gamma, beta, before, after, constant_statistics, dx, dgamma, dbeta);
  else
    backward<float>(x, dy, sets, mean, rstd, gamma, beta, before, after, constant_statistics, dx, dgamma, dbeta);
}

}  // namespace lgms::kernels
