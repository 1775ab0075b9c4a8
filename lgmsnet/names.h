#pragma once
// Checkpoint names: from what PyTorch scripts save to ours, and the configuration that names and shapes imply.
#include <string>

#include "core/named_tensor.h"
#include "lgmsnet/config.h"

namespace lgms {

// What PyTorch scripts save, as we name it: without the prefixes that wrappers put before every name (module.,
// _orig_mod., model., net., network., backbone., in any order); where no batch norm has its num_batches_tracked
// (PyTorch before 0.4.1), with a 0 for each.
NamedTensors with_our_names(NamedTensors tensors);
// The configuration read off names and shapes. Throws Error{model} naming source and the tensor that is missing or does
// not fit LGMSNet.
Config config_of(const NamedTensors& tensors, const std::string& source);

}  // namespace lgms
