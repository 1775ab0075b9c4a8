#pragma once
// What a forward pass needs before it runs.
#include "core/shape.h"
#include "lgmsnet/config.h"

namespace lgms {

struct ForwardCost {
  int64_t peak_bytes = 0;  // of tensors and scratch in use at once, input and logits included, weights not
  int64_t macs = 0;        // multiply-adds: convolutions, linear layers, attention, upsampling
};

// Of LGMSNet::forward under no-grad for x [N, D, H, W, in_channels] in the current context (threads and instruction set
// decide about scratch). From shapes alone: network.h is run with values that count their bytes for as long as they
// live, which is as long as tensors do. Throws Error{usage} where x does not fit.
ForwardCost forward_cost(const Config& config, const Shape& x);

}  // namespace lgms
