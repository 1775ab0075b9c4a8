#pragma once
// oneDNN's depthwise convolutions, which are convolutions of as many groups as channels (kernels/convolution/onednn.h).
#include "kernels/depthwise/depthwise.h"

#if LGMS_HAVE_ONEDNN
namespace lgms::kernels {

// All rows. weight: packed [kd, kh, kw, c] as for ours, and in every call as oneDNN reads it, which takes a few us.
// Memory for that, and for dense copies of what is not, comes from the context.
DepthwiseForward depthwise_forward_onednn;
// dweight: [c, taps]; dbias: [c] or null. Overwrites both.
void depthwise_weight_gradient_onednn(const DepthwiseDims& d, const float* x, const float* dy, float* dweight,
                                      float* dbias);

}  // namespace lgms::kernels
#endif
