#include "kernels/activation/math_generic.h"
//
#include "kernels/channel_norm/rows.h"

namespace lgms::kernels {

const ChannelNormKernels<float> channel_norm_generic{moments, apply, sums, backward};

}  // namespace lgms::kernels
