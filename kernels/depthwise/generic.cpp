// The same loops on four lanes, in the compiler's portable vectors (SSE2 on any x86-64, NEON on Arm):
// 5 times the reference, 0.4 of AVX2.
#include "kernels/depthwise/channels.h"

namespace lgms::kernels {
namespace {

struct Four {
  using v = float __attribute__((vector_size(16)));
  typedef float unaligned __attribute__((vector_size(16), aligned(4), may_alias));  // of `using` clang loses aligned
  static constexpr int L = 4;

  template <bool full>
  static v load(const float* p, int64_t n) {
    if (full) return *reinterpret_cast<const unaligned*>(p);
    return v{p[0], n > 1 ? p[1] : 0.f, n > 2 ? p[2] : 0.f, 0.f};
  }
  template <bool full>
  static void store(float* p, v a, int64_t n) {
    if (full)
      *reinterpret_cast<unaligned*>(p) = a;
    else
      for (int64_t i = 0; i < n; ++i) p[i] = a[i];
  }
  static v broadcast(float a) { return v{a, a, a, a}; }
  static v fma(v a, v b, v c) { return a * b + c; }
  static v add(v a, v b) { return a + b; }
};

}  // namespace

void depthwise_forward_generic(const Dims& d, int64_t first, int64_t last, const float* x, const float* weight,
                               const float* bias, float* y) {
  forward<Four>(d, first, last, x, weight, bias, y);
}

void depthwise_weight_gradient_generic(const Dims& d, int64_t first, int64_t last, const float* x, const float* dy,
                                       float* partial) {
  weight_gradient<Four>(d, first, last, x, dy, partial);
}

}  // namespace lgms::kernels
