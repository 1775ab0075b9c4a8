#include "kernels/channel_norm/channel_norm.h"

#include <algorithm>
#include <vector>

#include "kernels/channel_norm/reference.h"

namespace lgms::kernels {
namespace {

constexpr const char* kOp = "channel_norm";
constexpr ChannelNormImpl impls[] = {
#if LGMS_X86
    {"avx512", Isa::avx512, &channel_norm_avx512},
    {"avx2", Isa::avx2, &channel_norm_avx2},
#endif
    {"generic", Isa::generic, &channel_norm_generic},
    {"reference", Isa::reference, &channel_norm_reference<float>}};

template <class T>
const ChannelNormKernels<T>& kernels_of() {
  if constexpr (std::is_same_v<T, double>)
    return channel_norm_reference<double>;
  else
    return *pick(channel_norm_impls()).run;
}

// How a pass walks its tensors: images cut into blocks of rows. Where all of them are dense, `join` rows are seen as
// one row of join * C channels, at least 64 of them, so that few channels fill vectors too.
struct Walk {
  int64_t n, s, c, join = 1;  // s, c: rows of an image and channels, both after joining
  Blocks blocks;              // of an image

  Walk(const TensorView& x, bool dense) : n(x.shape()[0]), s(n == 0 ? 0 : x.rows() / n), c(x.channels()) {
    if (dense && c < 64) {
      while ((join * c) % 16 != 0 || join * c < 64) ++join;
      if (s % join != 0) join = 1;
    }
    s /= join;
    c *= join;
    // At most 512 rows: a block is summed in T.
    blocks = blocks_of(s, std::min<int64_t>(512, 1 + 32768 / std::max<int64_t>(c, 1)), s);
  }
  int64_t pieces() const { return n * blocks.count; }

  // body(piece, image, first row of it counted over all images, rows) for every block, in parallel.
  template <class Body>
  void run(const Body& body) const {
    if (n * s * c == 0) return;
    Context::current().parallel(pieces(), [&](int64_t piece, int) {
      const int64_t image = piece / blocks.count, block = piece % blocks.count, first = blocks.first(block);
      body(piece, image, image * s + first, blocks.last(block) - first);
    });
  }
  // Elements from one (joined) row of t to the next.
  int64_t stride(const TensorView& t) const { return join > 1 ? c : t.row_stride(); }
  ChannelNormDims dims(int64_t rows, const ChannelNorm& norm, const TensorView& x, const TensorView& y,
                       const TensorView& r) const {
    return {rows, c, stride(x), stride(y), stride(r), norm.before, norm.after};
  }
};

bool dense(const TensorView& t) { return !t.defined() || t.is_dense(); }

// The tables of a pass in the type of its kernels, each row repeated `join` times. mean rounded to T leaves an error
// behind, which shift and offset take along.
template <class T>
struct Tables {
  Scratch memory;
  int64_t m, c, join;
  Tables(int64_t rows, int64_t channels, int64_t repeats)
      : memory(Context::current().allocator(), rows * channels * repeats * 5 * static_cast<int64_t>(sizeof(T))),
        m(rows),
        c(channels),
        join(repeats) {}
  T* row(int64_t table, int64_t r) const { return memory.as<T>() + (table * m + r) * c * join; }
  void set(int64_t table, int64_t r, int64_t channel, double value) const {
    for (int64_t j = 0; j < join; ++j) row(table, r)[j * c + channel] = static_cast<T>(value);
  }
  ChannelNormCoefficients<T> of(int64_t image) const {
    const int64_t r = m == 1 ? 0 : image;
    return {row(0, r), row(1, r), row(2, r), row(3, r), row(4, r)};
  }
  void fill(const double* mean, const double* rstd, const T* gamma, const T* beta) const {
    for (int64_t r = 0; r < m; ++r)
      for (int64_t i = 0; i < c; ++i) {
        const double mu = mean[r * c + i], scale = rstd[r * c + i] * (gamma ? gamma[i] : 1.0);
        set(0, r, i, mu);
        set(1, r, i, scale);
        set(2, r, i, (beta ? beta[i] : 0.0) + scale * (static_cast<T>(mu) - mu));
        set(3, r, i, 0);
        set(4, r, i, 0);
      }
  }
};

template <class T>
const T* data_or_null(const TensorView& t) {
  return t.defined() ? t.data<T>() : nullptr;
}

// Mean and sum of squared deviations of an image, per channel, from its blocks' partials, in block order. Sums are
// carried around the first block's pivots: q around p + d is q - 2ds + nd^2 around p.
template <class T>
void combine_moments(const Walk& walk, const T* partials, int64_t image, double* mean, double* deviations) {
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
void statistics(const TensorView& x, const ChannelNorm& norm, const TensorView& mean, const TensorView& variance) {
  if (x.numel() == 0) {
    for (const TensorView& t : {mean, variance})
      for (double& v : t.span<double>()) v = 0;
    return;
  }
  const Walk walk(x, x.is_dense());
  const auto& allocator = Context::current().allocator();
  const Scratch memory(allocator, walk.pieces() * 3 * walk.c * static_cast<int64_t>(sizeof(T)));
  T* partials = memory.as<T>();
  const auto& run = kernels_of<T>();
  walk.run([&](int64_t piece, int64_t, int64_t first, int64_t rows) {
    run.moments(walk.dims(rows, norm, x, x, x), x.data<T>() + first * walk.stride(x), partials + piece * 3 * walk.c);
  });

  const int64_t n = walk.n, c = x.channels(), per_set = norm.channels_per_set;
  std::vector<double> means(static_cast<size_t>(n * c)), deviations(means);
  Context::current().parallel(n, [&](int64_t image, int) {
    combine_moments(walk, partials, image, means.data() + image * c, deviations.data() + image * c);
  });
  const double s = static_cast<double>(walk.s * walk.join);
  const int64_t images = norm.over_images ? n : 1;
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

template <class T>
void forward(const TensorView& x, const ChannelNorm& norm, const TensorView& mean, const TensorView& rstd,
             const TensorView& gamma, const TensorView& beta, const TensorView& residual, const TensorView& y) {
  const Walk walk(x, x.is_dense() && y.is_dense() && dense(residual));
  const Tables<T> tables(mean.shape()[0], x.channels(), walk.join);
  tables.fill(mean.data<double>(), rstd.data<double>(), data_or_null<T>(gamma), data_or_null<T>(beta));
  const T* r = data_or_null<T>(residual);
  const auto& run = kernels_of<T>();
  walk.run([&](int64_t, int64_t image, int64_t first, int64_t rows) {
    run.apply(walk.dims(rows, norm, x, y, residual), tables.of(image), x.data<T>() + first * walk.stride(x),
              r ? r + first * walk.stride(residual) : nullptr, y.data<T>() + first * walk.stride(y));
  });
}

// sums[image, c], products[image, c]: of g and of g * xhat.
template <class T>
void backward_sums(const TensorView& x, const TensorView& dy, const ChannelNorm& norm, const TensorView& mean,
                   const TensorView& rstd, const Tables<T>& tables, const Walk& walk, double* sums, double* products) {
  const auto& allocator = Context::current().allocator();
  const Scratch memory(allocator, walk.pieces() * 2 * walk.c * static_cast<int64_t>(sizeof(T)));
  T* partials = memory.as<T>();
  const auto& run = kernels_of<T>();
  walk.run([&](int64_t piece, int64_t image, int64_t first, int64_t rows) {
    run.sums(walk.dims(rows, norm, x, x, dy), tables.of(image), x.data<T>() + first * walk.stride(x),
             dy.data<T>() + first * walk.stride(dy), partials + piece * 2 * walk.c);
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
void fill_slopes(const Tables<T>& tables, const ChannelNorm& norm, int64_t n, int64_t s, const TensorView& mean,
                 const TensorView& rstd, const T* gamma, const double* sums, const double* products) {
  const int64_t c = tables.c, images = norm.over_images ? n : 1;
  const double count = static_cast<double>(images * s * norm.channels_per_set);
  for (int64_t m = 0; m < tables.m; ++m)
    for (int64_t first = 0; first < c; first += norm.channels_per_set) {
      double a = 0, b = 0;
      for (int64_t image = m; image < m + images; ++image)
        for (int64_t i = first; i < first + norm.channels_per_set; ++i) {
          a += (gamma ? gamma[i] : 1.0) * sums[image * c + i];
          b += (gamma ? gamma[i] : 1.0) * products[image * c + i];
        }
      for (int64_t i = first; i < first + norm.channels_per_set; ++i) {
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
void backward(const TensorView& x, const TensorView& dy, const ChannelNorm& norm, const TensorView& mean,
              const TensorView& rstd, const TensorView& gamma, const TensorView& beta, bool constant_statistics,
              const TensorView& dx, const TensorView& dgamma, const TensorView& dbeta) {
  const Walk walk(x, x.is_dense() && dy.is_dense() && dense(dx));
  const int64_t n = walk.n, c = x.channels(), s = walk.s * walk.join;
  const Tables<T> tables(mean.shape()[0], c, walk.join);
  const T* g = data_or_null<T>(gamma);
  tables.fill(mean.data<double>(), rstd.data<double>(), g, data_or_null<T>(beta));
  if (dgamma.defined() || dbeta.defined() || !constant_statistics) {
    std::vector<double> sums(static_cast<size_t>(n * c)), products(sums);
    backward_sums(x, dy, norm, mean, rstd, tables, walk, sums.data(), products.data());
    if (dgamma.defined()) sum_over_images<T>(products.data(), n, c, dgamma);
    if (dbeta.defined()) sum_over_images<T>(sums.data(), n, c, dbeta);
    if (!constant_statistics) fill_slopes(tables, norm, n, s, mean, rstd, g, sums.data(), products.data());
  }
  if (!dx.defined()) return;
  const auto& run = kernels_of<T>();
  walk.run([&](int64_t, int64_t image, int64_t first, int64_t rows) {
    run.backward(walk.dims(rows, norm, x, dx, dy), tables.of(image), x.data<T>() + first * walk.stride(x),
                 dy.data<T>() + first * walk.stride(dy), dx.data<T>() + first * walk.stride(dx));
  });
}

void expect_like(const char* argument, const TensorView& t, const TensorView& x) {
  expect_shape(kOp, argument, t, x.shape());
  expect_type(kOp, argument, t, x.dtype());
}
void expect_channels(const char* argument, const TensorView& t, const TensorView& x) {
  if (!t.defined()) return;
  expect_shape(kOp, argument, t, {x.channels()});
  expect_type(kOp, argument, t, x.dtype());
}
void expect_table(const char* argument, const TensorView& t, int64_t m, int64_t c) {
  expect_shape(kOp, argument, t, {m, c});
  expect_type(kOp, argument, t, DType::f64);
}
void expect_norm(const TensorView& x, const ChannelNorm& norm) {
  expect_activations(kOp, "x", x);
  check(norm.channels_per_set > 0 && x.channels() % norm.channels_per_set == 0, ErrorKind::usage,
        "[channel_norm] channels_per_set: expected a divisor of ", x.channels(), ", got ", norm.channels_per_set);
}
void expect_affine(const TensorView& x, const TensorView& mean, const TensorView& rstd, const TensorView& gamma,
                   const TensorView& beta) {
  expect_table("mean", mean, mean.shape().rank() == 2 && mean.shape()[0] == 1 ? 1 : x.shape()[0], x.channels());
  expect_table("rstd", rstd, mean.shape()[0], x.channels());
  expect_channels("gamma", gamma, x);
  expect_channels("beta", beta, x);
}

}  // namespace

std::span<const ChannelNormImpl> channel_norm_impls() { return impls; }

void channel_norm_statistics(const TensorView& x, const ChannelNorm& norm, const TensorView& mean,
                             const TensorView& variance) {
  expect_norm(x, norm);
  const int64_t m = norm.over_images ? 1 : x.shape()[0];
  expect_table("mean", mean, m, x.channels());
  expect_table("variance", variance, m, x.channels());
  if (x.dtype() == DType::f64)
    statistics<double>(x, norm, mean, variance);
  else
    statistics<float>(x, norm, mean, variance);
}

void channel_norm_forward(const TensorView& x, const ChannelNorm& norm, const TensorView& mean, const TensorView& rstd,
                          const TensorView& gamma, const TensorView& beta, const TensorView& residual,
                          const TensorView& y) {
  expect_norm(x, norm);
  expect_affine(x, mean, rstd, gamma, beta);
  if (residual.defined()) expect_like("residual", residual, x);
  expect_like("y", y, x);
  if (x.dtype() == DType::f64)
    forward<double>(x, norm, mean, rstd, gamma, beta, residual, y);
  else
    forward<float>(x, norm, mean, rstd, gamma, beta, residual, y);
}

void channel_norm_backward(const TensorView& x, const TensorView& dy, const ChannelNorm& norm, const TensorView& mean,
                           const TensorView& rstd, const TensorView& gamma, const TensorView& beta,
                           bool constant_statistics, const TensorView& dx, const TensorView& dgamma,
                           const TensorView& dbeta) {
  expect_norm(x, norm);
  expect_affine(x, mean, rstd, gamma, beta);
  expect_like("dy", dy, x);
  if (dx.defined()) expect_like("dx", dx, x);
  expect_channels("dgamma", dgamma, x);
  expect_channels("dbeta", dbeta, x);
  if (!constant_statistics) expect_table("mean", mean, norm.over_images ? 1 : x.shape()[0], x.channels());
  if (x.dtype() == DType::f64)
    backward<double>(x, dy, norm, mean, rstd, gamma, beta, constant_statistics, dx, dgamma, dbeta);
  else
    backward<float>(x, dy, norm, mean, rstd, gamma, beta, constant_statistics, dx, dgamma, dbeta);
}

}  // namespace lgms::kernels
