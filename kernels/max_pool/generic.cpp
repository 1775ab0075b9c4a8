// From the reference (1.3 GB/s at C = 16): channels outside, taps inside, four channels in a vector of the compiler's
// own (SSE2, NEON or plain code), so that a tap is a compare and two blends: 16 GB/s.
#include <cstring>

#include "kernels/max_pool/reference.h"

namespace lgms::kernels {
namespace {

typedef float Vector __attribute__((vector_size(16)));
typedef int32_t Bits __attribute__((vector_size(16)));

Vector load(const float* p) {
  Vector v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

Bits all(int64_t x) {
  const auto i = static_cast<int32_t>(x);
  return Bits{i, i, i, i};
}

// The same line from channel c on.
MaxPoolLine rest(const MaxPoolLine& l, int64_t c) {
  MaxPoolLine r = l;
  r.outputs = 1;
  r.c = l.c - c;
  return r;
}

}  // namespace

void max_pool_forward_generic(const MaxPoolLine& l, const float* x, float* y, uint8_t* index) {
  for (int64_t o = 0; o < l.outputs; ++o, x += 2 * l.ldx, y += l.ldy, index += index ? l.c : 0) {
    int64_t c = 0;
    for (; c + 4 <= l.c; c += 4) {
      Vector best = load(x + c);
      Bits winner{};
      for (int64_t tap = 1; tap < l.taps; ++tap) {
        const Vector value = load(x + l.offset[tap] + c);
        const Bits take = (value > best) | (value != value);
        best = take ? value : best;
        winner = take ? all(tap) : winner;
      }
      std::memcpy(y + c, &best, sizeof best);
      if (index)
        for (int k = 0; k < 4; ++k) index[c + k] = static_cast<uint8_t>(winner[k]);
    }
    if (c < l.c) max_pool_forward_reference(rest(l, c), x + c, y + c, index ? index + c : nullptr);
  }
}

void max_pool_backward_generic(const MaxPoolLine& l, const float* dy, const uint8_t* index, float* dx) {
  for (int64_t o = 0; o < l.outputs; ++o, dx += 2 * l.ldx, dy += l.ldy, index += l.c) {
    int64_t c = 0;
    for (; c + 4 <= l.c; c += 4) {
      const Vector gradient = load(dy + c);
      const Bits winner{index[c], index[c + 1], index[c + 2], index[c + 3]};
      for (int64_t tap = 0; tap < l.taps; ++tap) {
        const Vector value = winner == all(tap) ? gradient : Vector{};
        std::memcpy(dx + l.offset[tap] + c, &value, sizeof value);
      }
    }
    if (c < l.c) max_pool_backward_reference(rest(l, c), dy + c, index + c, dx + c);
  }
}

}  // namespace lgms::kernels
