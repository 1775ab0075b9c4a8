#include "autograd/gradcheck.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/rng.h"

namespace lgms::autograd {

GradcheckResult gradcheck(const std::function<Variable(std::vector<Variable>&)>& f, const std::vector<Tensor>& inputs,
                          int64_t max_elements, double step, uint64_t seed) {
  std::vector<Variable> variables;
  for (const Tensor& input : inputs) {
    check(input.dtype() == DType::f64, ErrorKind::usage, "[gradcheck] inputs: expected f64, got ", input.dtype());
    variables.emplace_back(input, true);
  }
  const Variable y = f(variables);
  const Tensor cotangent = Tensor::empty(y.shape(), DType::f64);
  Rng rng(seed, Purpose::test);
  for (double& v : cotangent.span<double>()) v = rng.normal();

  const auto loss = [&] {
    const NoGrad no_grad;
    const Tensor value = f(variables).value().dense();
    double sum = 0;
    for (size_t i = 0; i < value.span<double>().size(); ++i)
      sum += value.span<double>()[i] * cotangent.span<double>()[i];
    return sum;
  };
  backward(y, cotangent);

  GradcheckResult worst;
  for (size_t input = 0; input < inputs.size(); ++input) {
    const Tensor gradient = variables[input].grad().defined() ? variables[input].grad().dense()
                                                              : Tensor::zeros(inputs[input].shape(), DType::f64);
    const TensorView& t = inputs[input];
    const int64_t stride = std::max<int64_t>(1, t.numel() / max_elements);
    for (int64_t i = 0; i < t.numel(); i += stride) {
      double& x = t.data<double>()[i / t.channels() * t.row_stride() + i % t.channels()];
      const double before = x, h = step * std::max(1.0, std::abs(x));
      x = before + h;
      const double up = loss();
      x = before - h;
      const double down = loss();
      x = before;
      const double numeric = (up - down) / (2 * h), analytic = gradient.span<double>()[static_cast<size_t>(i)];
      const double error = std::abs(analytic - numeric) / std::max({1.0, std::abs(analytic), std::abs(numeric)});
      if (!(error <= worst.error)) worst = {error, input, i};
    }
  }
  return worst;
}

}  // namespace lgms::autograd
