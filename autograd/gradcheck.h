#pragma once
// Gradients against central differences, in double.
#include <functional>
#include <string>
#include <vector>

#include "autograd/variable.h"

namespace lgms::autograd {

struct GradcheckResult {
  double error = 0;  // the largest |analytic - numeric| / max(1, |analytic|, |numeric|)
  size_t input = 0;  // where it is
  int64_t element = 0;
};

// L = sum(cotangent * f(inputs)) with a random normal cotangent (a plain sum hides errors of norms and softmax);
// numeric: (L(x + h) - L(x - h)) / 2h with h = step * max(1, |x|). inputs: f64, all differentiated; each is checked at
// up to max_elements elements, spread evenly. f must be a pure function.
GradcheckResult gradcheck(const std::function<Variable(std::vector<Variable>&)>& f, const std::vector<Tensor>& inputs,
                          int64_t max_elements = 64, double step = 1e-5, uint64_t seed = 1);

}  // namespace lgms::autograd
