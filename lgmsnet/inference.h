#pragma once
// The network as it is used: its steps, run by the kernels one after the other. No autograd.
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/named_tensor.h"
#include "lgmsnet/config.h"
#include "lgmsnet/plan.h"

namespace lgms {

// Called with the output of every top-level module ("stem", "encoder1", ..., "Conv_1x1").
using StageHook = std::function<void(const std::string& name, const Tensor& output)>;

class Inference {
 public:
  // Parameters of a file, on the context's device; storage is shared where it is there and has dtype. Throws
  // Error{model} naming source where they are not those of such a network, or not finite.
  Inference(const Config& config, const NamedTensors& tensors, const std::string& source, DType dtype = DType::f32);

  // parameters: in the order of parameter_specs, shared.
  Inference(const Config& config, std::vector<Tensor> parameters)
      : config_(config), parameters_(std::move(parameters)) {}

  // x: [N, D, H, W, in_channels], sides multiples of 32 -> logits [N, D, H, W, classes]. x and the logits
  // are where the parameters are. f32 of the host runs on a plan (plan.h), which is kept for the next x of this shape,
  // and takes what forward_cost says; all else, and what a hook looks at, step by step. Step by
  // step they are the bits of LGMSNet::forward outside of training; a plan sums up-convolutions and the statistics of
  // instance norms in another order. Throws Error{usage} where x does not fit.
  Tensor forward(const Tensor& x, const StageHook& hook = {}) const;

  // What forward runs on in the current context, on f32 of the host.
  std::shared_ptr<const Plan> plan(const Shape& x) const { return plans_->get(config_, parameters_, x); }

  const Config& config() const { return config_; }
  const std::vector<Tensor>& parameters() const { return parameters_; }  // shared

 private:
  Config config_;
  std::vector<Tensor> parameters_;
  std::shared_ptr<Plans> plans_ = std::make_shared<Plans>();  // of copies too
};

}  // namespace lgms
