#include "tests/support/testing.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "core/rng.h"

namespace lgms::testing {

std::vector<int64_t> simd_edge_sizes(int64_t most) {
  std::vector<int64_t> sizes;
  for (int64_t n :
       {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 20, 24, 31, 32, 33, 40, 47, 48, 49, 63, 64, 65, 96, 97, 127, 128, 129})
    if (n <= most) sizes.push_back(n);
  return sizes;
}

std::vector<float> small_integers(int64_t n, uint64_t seed) {
  Rng rng(seed, Purpose::test);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = static_cast<float>(rng.below(9)) - 4;
  return values;
}

std::vector<float> normals(int64_t n, uint64_t seed) {
  Rng rng(seed, Purpose::test);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = static_cast<float>(rng.normal());
  return values;
}

Tensor padded(const Shape& shape, DType dtype, int64_t pad) {
  if (pad == 0) return Tensor::empty(shape, dtype);
  return Tensor::full(shape.with_channels(shape.channels() + pad), 1e30, dtype).slice(0, shape.channels());
}

bool padding_intact(const Tensor& t, int64_t pad) {
  const auto intact = [&](auto zero) {
    using T = decltype(zero);
    for (int64_t r = 0; r + 1 < t.rows(); ++r)
      for (int64_t p = 0; p < pad; ++p)
        if (t.data<T>()[r * t.row_stride() + t.channels() + p] != static_cast<T>(1e30)) return false;
    return true;
  };
  return t.dtype() == DType::f64 ? intact(double{}) : intact(float{});
}

namespace {

template <class Draw>
Tensor filled(const Shape& shape, DType dtype, int64_t pad, const Draw& draw) {
  Tensor values = Tensor::empty(shape, DType::f64);
  for (double& v : values.span<double>()) v = draw();
  Tensor t = padded(shape, dtype, pad);
  t.copy_from(values.to(dtype));
  return t;
}

double element(const TensorView& t, int64_t i) {
  const int64_t at = i / t.channels() * t.row_stride() + i % t.channels();
  switch (t.dtype()) {
    case DType::f32: return t.data<float>()[at];
    case DType::f64: return t.data<double>()[at];
    case DType::i64: return static_cast<double>(t.data<int64_t>()[at]);
    case DType::u8: return t.data<uint8_t>()[at];
  }
  return 0;
}

}  // namespace

Tensor randn(const Shape& shape, uint64_t seed, DType dtype, int64_t pad) {
  Rng rng(seed, Purpose::test);
  return filled(shape, dtype, pad, [&] { return rng.normal(); });
}

Tensor integers(const Shape& shape, uint64_t seed, DType dtype, int64_t pad) {
  Rng rng(seed, Purpose::test);
  return filled(shape, dtype, pad, [&] { return static_cast<double>(rng.below(9)) - 4; });
}

std::filesystem::path shared(const std::string& name) {
  const char* const folder = std::getenv("LGMS_SHARED");
  return std::filesystem::path(folder != nullptr ? folder : "(LGMS_SHARED names no folder)") / name;
}

double max_difference(const TensorView& a, const TensorView& b) {
  REQUIRE(a.shape() == b.shape());
  double worst = 0;
  for (int64_t i = 0; i < a.numel(); ++i) {
    const double difference = std::abs(element(a, i) - element(b, i));
    worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
  }
  return worst;
}

double max_magnitude(const TensorView& a) {
  double worst = 0;
  for (int64_t i = 0; i < a.numel(); ++i) worst = std::max(worst, std::abs(element(a, i)));
  return worst;
}

std::vector<Isa> isas() {
  std::vector<Isa> all;
  for (Isa isa : {Isa::reference, Isa::generic, Isa::avx2, Isa::avx512})
    if (supported(isa)) all.push_back(isa);
  return all;
}

}  // namespace lgms::testing
