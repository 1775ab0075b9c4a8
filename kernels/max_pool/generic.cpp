// From the reference: the taps outside, the channels inside, so that the compiler turns each tap into compares and
// blends over vectors of channels. Winners are kept as 32-bit numbers, as wide as the values, until they are stored.
#include <algorithm>

#include "kernels/max_pool/max_pool.h"

namespace lgms::kernels {
namespace {

constexpr int64_t kChunk = 64;  // channels at a time: best and winner stay in L1

void pool(const float* const* taps, int64_t count, int64_t c, float* y, uint8_t* index) {
  float best[kChunk];
  int32_t winner[kChunk] = {};
  std::copy_n(taps[0], c, best);
  for (int32_t tap = 1; tap < count; ++tap) {
    const float* x = taps[tap];
    for (int64_t k = 0; k < c; ++k) {
      const bool keep = (x[k] <= best[k]) | ((best[k] != best[k]) & (x[k] == x[k]));
      best[k] = keep ? best[k] : x[k];
      winner[k] = keep ? winner[k] : tap;
    }
  }
  std::copy_n(best, c, y);
  if (index)
    for (int64_t k = 0; k < c; ++k) index[k] = static_cast<uint8_t>(winner[k]);
}

}  // namespace

void max_pool_forward_generic(const MaxPoolDims& d, int64_t first, int64_t last, const float* x, float* y,
                              uint8_t* index) {
  const int64_t ow_count = d.w / 2, count = 4 * d.window_d;
  const float* taps[8];
  for (int64_t out = first * ow_count; out < last * ow_count; ++out)
    for (int64_t c = 0; c < d.c; c += kChunk) {
      for (int64_t tap = 0; tap < count; ++tap)
        taps[tap] = x + d.pixel(out / ow_count, out % ow_count, tap) * d.ldx + c;
      pool(taps, count, std::min(kChunk, d.c - c), y + out * d.ldy + c, index ? index + out * d.c + c : nullptr);
    }
}

void max_pool_backward_generic(const MaxPoolDims& d, int64_t first, int64_t last, const float* dy, const uint8_t* index,
                               float* dx) {
  const int64_t ow_count = d.w / 2;
  for (int64_t out = first * ow_count; out < last * ow_count; ++out)
    for (int tap = 0; tap < 4 * d.window_d; ++tap) {
      float* into = dx + d.pixel(out / ow_count, out % ow_count, tap) * d.ldx;
      const float* from = dy + out * d.ldy;
      const uint8_t* winner = index + out * d.c;
      for (int64_t c = 0; c < d.c; ++c) into[c] = winner[c] == tap ? from[c] : 0.f;
    }
}

}  // namespace lgms::kernels
