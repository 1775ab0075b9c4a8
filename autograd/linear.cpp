#include "autograd/ops.h"

namespace lgms::autograd {

// A convolution whose weight [Cout, Cin] has no taps.
Variable linear(const Variable& x, const Variable& weight, const Variable& bias) {
  return convolution(x, weight, bias, 1);
}

}  // namespace lgms::autograd
