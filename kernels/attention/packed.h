#pragma once
// From strided tensors to the packed heads of head.h and back: each range of units packs the rows of a head once, then
// goes through its units of that head.
#include "kernels/attention/attention.h"
#include "kernels/attention/head.h"

namespace lgms::kernels {

void attention_forward_packed(const AttentionDims& d, int64_t first, int64_t last, const float* qkv, float* y,
                              float* statistics, float* scratch, AttentionHeadForward* run);
void attention_backward_packed(const AttentionDims& d, int64_t first, int64_t last, const float* qkv, const float* y,
                               const float* statistics, const float* dy, float* dqkv, float* scratch,
                               AttentionHeadBackward* run);
// Floats of scratch that both need.
int64_t attention_packed_scratch(const AttentionDims& d);

}  // namespace lgms::kernels
