#pragma once
// What an implementation of layer_norm does: whole rows, one after the other.
#include <cstdint>

namespace lgms::kernels {

struct LayerNormDims {
  int64_t rows, c, ldx, lddy, ldy;  // ldy: of y, or of dx in backward; lddy: of dy
  double eps;
};

using LayerNormForward = void(const LayerNormDims& d, const float* x, const float* gamma, const float* beta, float* y);
// dx, or dgamma and dbeta, may be null. Adds to dgamma and dbeta.
using LayerNormBackward = void(const LayerNormDims& d, const float* x, const float* gamma, const float* dy, float* dx,
                               float* dgamma, float* dbeta);
LayerNormForward layer_norm_forward_avx512, layer_norm_forward_avx2, layer_norm_forward_generic;
LayerNormBackward layer_norm_backward_avx512, layer_norm_backward_avx2, layer_norm_backward_generic;

}  // namespace lgms::kernels
