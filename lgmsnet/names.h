#pragma once
// Checkpoint names: from what PyTorch scripts save to ours, and the configuration that names and shapes imply.
#include <string>

#include "core/named_tensor.h"
#include "lgmsnet/config.h"

namespace lgms {

// Without the prefix "module." or "backbone." where every name has it.
NamedTensors strip_prefix(NamedTensors tensors);
// The configuration read off names and shapes. Throws Error{model} naming source and the tensor that is missing or does
// not fit LGMSNet.
Config config_of(const NamedTensors& tensors, const std::string& source);

}  // namespace lgms
