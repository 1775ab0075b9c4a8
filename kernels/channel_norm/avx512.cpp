#include "kernels/activation/math_avx512.h"
//
#include "kernels/channel_norm/rows.h"

namespace lgms::kernels {

const ChannelNormKernels<float> channel_norm_avx512{moments, apply, sums, backward};

}  // namespace lgms::kernels
