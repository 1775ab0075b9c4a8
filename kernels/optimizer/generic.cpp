#include "kernels/activation/math_generic.h"
//
namespace {
inline Vec::T square_root(Vec::T a) {
  return Vec::T{__builtin_sqrtf(a[0]), __builtin_sqrtf(a[1]), __builtin_sqrtf(a[2]), __builtin_sqrtf(a[3])};
}
}  // namespace
#include "kernels/optimizer/rows.h"

namespace lgms::kernels {

void sgd_step_generic(int64_t n, const SgdFactors<float>& f, const float* gradient, float* weight, float* velocity) {
  sgd(n, f, gradient, weight, velocity);
}

void adamw_step_generic(int64_t n, const AdamWFactors<float>& f, const float* gradient, float* weight, float* mean,
                        float* square) {
  adamw(n, f, gradient, weight, mean, square);
}

}  // namespace lgms::kernels
