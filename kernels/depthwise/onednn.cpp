#include "kernels/depthwise/onednn.h"

#if LGMS_HAVE_ONEDNN
#include "kernels/convolution/onednn.h"

namespace lgms::kernels {
namespace {

ConvolutionDims grouped(const DepthwiseDims& d) {
  return {d.n, d.d, d.h, d.w, d.c, d.c, d.c, d.kd, d.kh, d.kw, d.ldx, d.ldy};
}

}  // namespace

void depthwise_forward_onednn(const DepthwiseDims& d, int64_t, int64_t, const float* x, const float* weight,
                              const Epilogue<Strided<float>>& epilogue, float* y) {
  const ConvolutionDims c = grouped(d);
  if (c.rows() == 0 || c.cout == 0) return;
  const int64_t packed = aligned_bytes<float>(convolution_onednn_packed_size(c));
  const Scratch memory(Context::current().memory(), packed + aligned_bytes<float>(convolution_onednn_scratch_size(c)));
  float* const weights = memory.as<float>();
  convolution_onednn_pack(c, 0, 1, {weight, 1, 1, 1, d.c}, weights);
  convolution_onednn(c, 0, 1, x, weights, {.epilogue = epilogue}, y, weights + packed / int64_t{sizeof(float)});
}

void depthwise_weight_gradient_onednn(const DepthwiseDims& d, const float* x, const float* dy, float* dweight,
                                      float* dbias) {
  convolution_weight_gradient_onednn(grouped(d), x, dy, dweight, dbias);
}

}  // namespace lgms::kernels
#endif
