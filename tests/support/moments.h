#pragma once
// The statistics that a norm makes of moments which another op summed.
#include "kernels/channel_norm/channel_norm.h"
#include "tests/support/testing.h"

namespace lgms::testing {

struct Statistics {
  Tensor mean, variance;  // [N, C]
};

// moments: [N, blocks, 3, C], block b of pixels(b) pixels of an image.
inline Statistics statistics_of(const Tensor& moments, FunctionRef<int64_t(int64_t)> pixels) {
  const int64_t n = moments.shape()[0], blocks = moments.shape()[1], c = moments.shape()[3];
  int64_t all = 0;
  for (int64_t b = 0; b < blocks; ++b) all += pixels(b);
  const auto norm = kernels::prepare(kernels::NormDims{n, all, c, c, c}, Context::current());
  const Tensor scratch = Tensor::empty({norm.scratch_bytes / 4 + 1});
  const Statistics s{Tensor::empty({n, c}, DType::f64), Tensor::empty({n, c}, DType::f64)};
  kernels::run_statistics(norm, moments.data<float>(), blocks, pixels, s.mean.data<double>(), s.variance.data<double>(),
                          scratch.memory());
  return s;
}

// Of an instance norm over y, in double.
inline Statistics statistics_of(const Tensor& y) {
  const Shape m{y.shape()[0], y.channels()};
  const Statistics s{Tensor::empty(m, DType::f64), Tensor::empty(m, DType::f64)};
  kernels::channel_norm_statistics(y.to(DType::f64), kernels::Activation::none, {}, s.mean, s.variance);
  return s;
}

}  // namespace lgms::testing
