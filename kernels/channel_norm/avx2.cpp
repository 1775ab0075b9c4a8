#include "kernels/activation/math_avx2.h"
//
#include "kernels/channel_norm/rows.h"

namespace lgms::kernels {

const ChannelNormKernels<float> channel_norm_avx2{moments, apply, sums, backward};

}  // namespace lgms::kernels
