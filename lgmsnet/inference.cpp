#include "lgmsnet/inference.h"

#include <array>

#include "lgmsnet/steps.h"

namespace lgms {
namespace {

// A norm's statistics: of x, or (batch norm) those that training left.
void norm(const Step& step, const Tensor* p, const Tensor& x, const Tensor& residual, const Tensor& y) {
  const int64_t c = x.channels();
  Tensor mean, variance, gamma, beta;
  if (step.op == Op::batch_norm) {
    mean = kernels::mean_table(p[2]);
    variance = p[3];
  } else {
    const kernels::NormSets sets{step.op == Op::group_norm ? c / step.groups : 1};
    mean = Tensor::empty({x.shape()[0], c}, DType::f64);
    variance = Tensor::empty(mean.shape(), DType::f64);
    kernels::channel_norm_statistics(x, step.epilogue.before, sets, mean, variance);
  }
  if (step.op != Op::instance_norm) {
    gamma = p[0];
    beta = p[1];
  }
  kernels::channel_norm_forward(x, mean, kernels::reciprocal_deviation(variance, kEpsilon), gamma, beta,
                                {.before = step.epilogue.before, .after = step.epilogue.after, .residual = residual},
                                y);
}

// p: the step's parameters; in: its inputs; y: its output, which may be in[0] for a norm.
void run(const Step& step, int rank, const Tensor* p, const std::vector<Tensor>& in, const Tensor& y) {
  const Tensor& x = in[0];
  const auto bias = [&] { return step.parameters.size() > 1 ? p[1] : Tensor(); };
  switch (step.op) {
    case Op::convolution:
    case Op::linear: return kernels::convolution_forward(x, p[0], bias(), step.groups, y);
    case Op::depthwise: return kernels::depthwise_forward(x, p[0], {}, y);
    case Op::multiscale_depthwise:
      return kernels::multiscale_depthwise_forward(x, {p[0], p[2], p[4], p[6]}, {p[1], p[3], p[5], p[7]}, true, y);
    case Op::batch_norm:
    case Op::instance_norm:
    case Op::group_norm: return norm(step, p, x, in.size() > 1 ? in[1] : Tensor(), y);
    case Op::up_convolution:
    case Op::pointwise_pair:
    case Op::norm_tables: return;  // only of fused steps
    case Op::layer_norm: return kernels::layer_norm_forward(x, p[0], p[1], kEpsilon, y);
    case Op::attention:
      return kernels::attention_forward(x, step.heads, rank, y,
                                        Tensor::empty(y.shape().with_channels(2 * step.heads), y.dtype()));
    case Op::activation: return kernels::activation_forward(x, step.epilogue.after, y);
    case Op::add: return kernels::add_forward(x, in[1], y);
    case Op::concat:
      for (int64_t first = 0; const Tensor& part : in) {
        copy(part, y.slice(first, part.channels()));
        first += part.channels();
      }
      return;
    case Op::upsample: return kernels::upsample_forward(x, rank, y);
    case Op::max_pool: return kernels::max_pool_forward(x, rank, y, {});
  }
}

}  // namespace

Inference::Inference(const Config& config, const NamedTensors& tensors, const std::string& source, DType dtype)
    : config_(config), parameters_(values_of(parameter_specs(config), tensors, source, dtype)) {
  for (Tensor& p : parameters_) p = p.to(Context::current().device());
}

Tensor Inference::forward(const Tensor& x, const StageHook& hook) const {
  if (!hook && x.dtype() == DType::f32 && parameters_.front().dtype() == DType::f32 && x.device() == Device::cpu)
    return plan(x.shape())->run(x.dense());
  const Steps list = steps_of(config_, x.shape());
  std::vector<Tensor> values(list.values.size());
  const auto tensor_of = [&](int index) {
    const StepValue& v = list.values[static_cast<size_t>(index)];
    const Tensor& whole = values[static_cast<size_t>(v.storage)];
    return whole.shape() == v.shape ? whole : whole.slice(v.first, v.shape.channels());
  };
  values[static_cast<size_t>(list.input)] = x;
  const Tensor* parameters = parameters_.data();
  for (size_t i = 0; i < list.steps.size(); ++i) {
    const Step& step = list.steps[i];
    std::vector<Tensor> inputs;
    for (const int v : step.inputs) inputs.push_back(tensor_of(v));
    const StepValue& output = list.values[static_cast<size_t>(step.output)];
    if (output.storage == step.output)
      values[static_cast<size_t>(step.output)] = Tensor::empty(output.shape, x.dtype());
    run(step, list.rank, parameters, inputs, tensor_of(step.output));
    parameters += step.parameters.size();
    inputs.clear();
    for (size_t v = 0; v < values.size(); ++v)
      if (list.values[v].last_read == static_cast<int>(i)) values[v] = Tensor();
    const bool ends = i + 1 == list.steps.size() || list.steps[i + 1].stage != step.stage;
    if (hook && ends) hook(step.stage, tensor_of(step.output));
  }
  return tensor_of(list.output);
}

}  // namespace lgms
