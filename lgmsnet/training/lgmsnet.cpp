#include "lgmsnet/training/lgmsnet.h"

#include "lgmsnet/steps.h"
#include "lgmsnet/training/training_builder.h"

namespace lgms {

LGMSNet::LGMSNet(const Config& config, uint64_t seed, DType dtype)
    : config_(config), store_(parameter_specs(config), seed, dtype) {}

LGMSNet::LGMSNet(const Config& config, const NamedTensors& tensors, const std::string& source, DType dtype)
    : config_(config), store_(parameter_specs(config), tensors, source, dtype) {}

autograd::Variable LGMSNet::forward(const Tensor& x, bool training, StageHook hook, bool checkpointing) const {
  check_input(config_, x.shape());
  TrainingBuilder builder(config_.rank, store_, training, std::move(hook), checkpointing);
  return lgms::forward(builder, config_, autograd::Variable(x));
}

Inference LGMSNet::inference() const {
  std::vector<Tensor> parameters;
  for (const NamedTensor& t : store_.tensors()) parameters.push_back(t.tensor);
  return {config_, std::move(parameters)};
}

}  // namespace lgms
