#include "kernels/activation/math_avx512.h"
//
namespace {
inline Vec::T square_root(Vec::T a) { return _mm512_sqrt_ps(a); }
}  // namespace
#include "kernels/optimizer/rows.h"

namespace lgms::kernels {

void sgd_step_avx512(int64_t n, const SgdFactors<float>& f, const float* gradient, float* weight, float* velocity) {
  sgd(n, f, gradient, weight, velocity);
}

void adamw_step_avx512(int64_t n, const AdamWFactors<float>& f, const float* gradient, float* weight, float* mean,
                       float* square) {
  adamw(n, f, gradient, weight, mean, square);
}

}  // namespace lgms::kernels
