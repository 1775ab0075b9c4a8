#pragma once
// oneDNN's convolutions as rows: the whole tensor on the context's threads (kernels/onednn/threads.h). Sums of products
// as they are written, in f32 (fpmath mode strict): within eps * terms * max|x| * max|w| of the exact result, relative
// L2 error below 9e-7 at 128 channels of 3x3, small integers exact. Not the same bits for any number of threads.
//
// What is asked of oneDNN is what a careful user asks: activations channels-last as they are, weights in the layout
// that it likes best, the epilogue as post-ops. Measured with 3.2 and 3.13 on one thread of an Intel Xeon with AVX-512:
//
// It has nothing but plain loops for rows of pixels that are not dense (64 -> 64 3x3 at 64x64: 359 ms, dense 1.6 ms),
// so these are copied to and from scratch that is.
//
// The data gradient is the convolution with turned weights here too: oneDNN's own is that itself
// ("brg_conv_bwd+brg_conv_fwd"), and in groups it is slower (3x3x3, 32 -> 32 in two, 96^3: 217 ms, turned 194 ms).
//
// Primitives are made where they are used: oneDNN keeps the last 1024 with their code. To find one again takes 2 us, a
// memory object 0.4 us; through SYCL a call takes 28 us more. What it allocates for itself is in no account of ours.
#include "kernels/convolution/convolution.h"

#if LGMS_HAVE_ONEDNN
namespace lgms::kernels {

int64_t convolution_onednn_packed_size(const ConvolutionDims& d);
int64_t convolution_onednn_scratch_size(const ConvolutionDims& d);  // dense copies, and x behind its prologue
void convolution_onednn_pack(const ConvolutionDims& d, int64_t first, int64_t last,
                             const ConvolutionWeights<float>& weights, float* packed);
void convolution_onednn(const ConvolutionDims& d, int64_t first, int64_t last, const float* x, const float* packed,
                        const Fusing<float>& fusing, float* y, float* scratch);
// dweight: [cout, cin/groups, taps]; dbias: [cout] or null. Overwrites both. Copies of what is not dense come from the
// context.
void convolution_weight_gradient_onednn(const ConvolutionDims& d, const float* x, const float* dy, float* dweight,
                                        float* dbias);

inline constexpr ConvolutionImpl<float> convolution_onednn_impl{
    "onednn",
    Device::cpu,
    Isa::reference,  // whatever the context's: it picks instructions by itself; ONEDNN_MAX_CPU_ISA caps them
    Rounding::direct,
    [](const ConvolutionDims&) { return true; },
    convolution_onednn_packed_size,
    [](const ConvolutionDims&) { return int64_t{1}; },
    convolution_onednn_pack,
    [](const ConvolutionDims&) { return int64_t{1}; },
    convolution_onednn_scratch_size,
    [](const ConvolutionDims&) { return int64_t{0}; },  // sums of moments are no post-op: the norm's own pass does them
    [](const ConvolutionDims&, int64_t) { return int64_t{0}; },
    convolution_onednn,
    Provider::onednn};

}  // namespace lgms::kernels
#endif
