#pragma once
// The network that can be trained: its parameters and its forward pass under autograd.
#include <string>

#include "lgmsnet/config.h"
#include "lgmsnet/inference.h"
#include "nn/parameters.h"

namespace lgms {

class LGMSNet {
 public:
  // Parameters drawn with PyTorch's default initialisation from seed. dtype f32 or f64.
  explicit LGMSNet(const Config& config, uint64_t seed = 0, DType dtype = DType::f32);
  // Parameters of a file, whose storage is shared where it has dtype. Throws Error{model} naming source where they are
  // not those of such a network, or not finite.
  LGMSNet(const Config& config, const NamedTensors& tensors, const std::string& source, DType dtype = DType::f32);

  // x: [N, D, H, W, in_channels], sides multiples of 32; returns logits [N, D, H, W, classes]. training: batch norms
  // use and update statistics of the batch. checkpointing: backward keeps little more than the outputs of the top-level
  // modules and computes the rest again, module by module; the same bits in less memory and more time. *this must
  // outlive the graph. Throws Error{usage} where x does not fit.
  autograd::Variable forward(const Tensor& x, bool training, StageHook hook = {}, bool checkpointing = false) const;

  // The same network without autograd; it shares the parameters.
  Inference inference() const;

  const Config& config() const { return config_; }
  nn::ParameterStore& store() { return store_; }
  const nn::ParameterStore& store() const { return store_; }

 private:
  Config config_;
  nn::ParameterStore store_;
};

}  // namespace lgms
