// From the reference: row by row, tap by tap, a tile of 4 x 8 sums stays in registers over the pixels of a row.
#include "kernels/convolution/weight_gradient.h"

namespace lgms::kernels {
namespace {

constexpr int kJ = 4, kI = 8;

// p[j][i] += sum over width pixels of b[j] * a[i], for a whole tile.
void tile(const CorrelationDims& d, const float* a, const float* b, int64_t width, float* p) {
  float sum[kJ][kI] = {};
  for (int64_t x = 0; x < width; ++x, a += d.lda, b += d.ldb)
    for (int j = 0; j < kJ; ++j)
      for (int i = 0; i < kI; ++i) sum[j][i] += b[j] * a[i];
  for (int j = 0; j < kJ; ++j)
    for (int i = 0; i < kI; ++i) p[j * d.ldp + i] += sum[j][i];
}

// The same for the channels that fill no tile.
void edge(const CorrelationDims& d, const float* a, const float* b, int64_t width, float* p, int64_t nj, int64_t ni) {
  for (int64_t j = 0; j < nj; ++j)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t i = 0; i < ni; ++i) p[j * d.ldp + i] += b[x * d.ldb + j] * a[x * d.lda + i];
}

// p[j,i] += for all channels.
void row(const CorrelationDims& d, const float* a, const float* b, int64_t width, float* p) {
  const int64_t full_j = d.cb / kJ * kJ, full_i = d.ca / kI * kI;
  for (int64_t j = 0; j < full_j; j += kJ)
    for (int64_t i = 0; i < full_i; i += kI) tile(d, a + i, b + j, width, p + j * d.ldp + i);
  edge(d, a + full_i, b, width, p + full_i, d.cb, d.ca - full_i);
  edge(d, a, b + full_j, width, p + full_j * d.ldp, d.cb - full_j, full_i);
}

// All taps of row y of one slice.
void taps(const CorrelationDims& d, int64_t n, int64_t z, int64_t y, const float* a, const float* b, float* p) {
  for (int64_t t = 0; t < d.taps(); ++t, p += d.cb * d.ldp) {
    const int64_t az = z + t / (d.kh * d.kw) - d.kd / 2, ay = y + t / d.kw % d.kh - d.kh / 2;
    const int64_t shift = t % d.kw - d.kw / 2, x = std::max<int64_t>(0, -shift), end = std::min(d.w, d.w - shift);
    if (az < 0 || az >= d.d || ay < 0 || ay >= d.h || x >= end) continue;
    row(d, a + (((n * d.d + az) * d.h + ay) * d.w + x + shift) * d.lda,
        b + (((n * d.d + z) * d.h + y) * d.w + x) * d.ldb, end - x, p);
  }
}

}  // namespace

void correlation_generic(const CorrelationDims& d, int64_t first, int64_t last, const float* a, const float* b,
                         float* p, float*) {
  for (int64_t r = 0; r < d.taps() * d.cb; ++r) std::fill_n(p + r * d.ldp, d.ca, 0.0f);
  for (int64_t unit = first; unit < last; ++unit) {
    const Slab s = correlation_slab(d, unit);
    for (int64_t z = s.z; z < s.z + s.slices; ++z)
      for (int64_t y = s.y; y < s.y + s.rows; ++y) taps(d, s.n, z, y, a, b, p);
  }
}

}  // namespace lgms::kernels
