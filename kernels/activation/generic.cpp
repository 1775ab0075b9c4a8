#include "kernels/activation/math_generic.h"
//
#include "kernels/activation/rows.h"

namespace lgms::kernels {

void activation_forward_generic(const ActivationDims& d, const float* x, float* y) { forward_rows(d, x, y); }
void activation_backward_generic(const ActivationDims& d, const float* x, const float* dy, float* dx) {
  backward_rows(d, x, dy, dx);
}

}  // namespace lgms::kernels
