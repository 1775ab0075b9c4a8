#pragma once
// What the passes share: how they walk their tensors, the tables that kernels read, the checks.
#include <algorithm>
#include <type_traits>

#include "kernels/channel_norm/reference.h"

namespace lgms::kernels {

template <class T>
const ChannelNormKernels<T>& kernels_of(Device device) {
  if constexpr (std::is_same_v<T, double>)
    return channel_norm_reference<double>;
  else
    return *pick(channel_norm_impls(), Context::current(), device).run;
}

// How a pass walks its tensors: images cut into blocks of rows. Where all of them are dense, `join` rows are seen as
// one row of join * C channels, at least 64 of them, so that few channels fill vectors too.
struct ChannelNormWalk {
  int64_t n, s, c, join = 1;  // s, c: rows of an image and channels, both after joining
  Blocks blocks;              // of an image

  // images, pixels: of an image; dense: all tensors are.
  ChannelNormWalk(int64_t images, int64_t pixels, int64_t channels, bool dense) : n(images), s(pixels), c(channels) {
    if (dense && c > 0 && c < 64) {
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
  // Elements from one (joined) row to the next.
  int64_t stride(int64_t row_stride) const { return join > 1 ? c : row_stride; }
  ChannelNormDims dims(int64_t rows, Activation before, Activation after, int64_t ldx, int64_t ldy, int64_t ldr) const {
    return {rows, c, stride(ldx), stride(ldy), stride(ldr), before, after};
  }
};

// norm(u) = scale * (u - mean) + shift in T; mean rounded to T leaves an error behind, which shift takes along.
template <class T>
struct NormTerms {
  T mean, scale, shift;
  NormTerms(double mu, double rstd, double gamma, double beta) : mean(static_cast<T>(mu)) {
    const double s = rstd * gamma;
    scale = static_cast<T>(s);
    shift = static_cast<T>(beta + s * (mean - mu));
  }
};

// The tables of a pass in the type of its kernels, each row repeated `join` times.
template <class T>
struct ChannelNormTables {
  T* memory;  // of bytes()
  int64_t m, c, join;
  static int64_t bytes(int64_t m, const ChannelNormWalk& walk) { return aligned_bytes<T>(5 * m * walk.c); }
  T* row(int64_t table, int64_t r) const { return memory + (table * m + r) * c * join; }
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
        const NormTerms<T> z(mean[r * c + i], rstd[r * c + i], gamma ? gamma[i] : 1, beta ? beta[i] : 0);
        set(0, r, i, z.mean);
        set(1, r, i, z.scale);
        set(2, r, i, z.shift);
        set(3, r, i, 0);
        set(4, r, i, 0);
      }
  }
};

// Of whole passes; scratch: norm_statistics_bytes<T>, norm_apply_bytes<T>.
template <class T>
int64_t norm_statistics_bytes(const NormDims& d);
template <class T>
void norm_statistics(const NormDims& d, const T* x, double* mean, double* variance, void* scratch,
                     const ChannelNormKernels<T>& kernels);

NormDims norm_dims(const TensorView& x, const TensorView& y, const TensorView& residual, Activation before,
                   Activation after, const NormSets& sets);

// The checks of an entry. mean: [1, C] or [N, C]; gamma, beta, dgamma, dbeta: [C] or undefined.
void expect_sets(const TensorView& x, const NormSets& sets);
void expect_same(const char* argument, const TensorView& t, const TensorView& x);
void expect_channels(const char* argument, const TensorView& t, const TensorView& x);
// A table [m, C] of f64 where x is.
void expect_table(const char* argument, const TensorView& t, int64_t m, const TensorView& x);
void expect_affine(const TensorView& x, const TensorView& mean, const TensorView& rstd, const TensorView& gamma,
                   const TensorView& beta);

}  // namespace lgms::kernels
