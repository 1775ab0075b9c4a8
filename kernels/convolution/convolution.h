#pragma once
// Convolution and its data gradient (formula, shapes and source: dims.h). The gradient by x is the convolution of dy
// with the weights turned around: inputs and outputs swapped, taps mirrored,
//   dx[n,p,i] = sum over taps t and outputs o of i's group of weight[o,i,t] * dy[n, p - t + k/2, o],
// so one list of implementations serves both. The weight gradient is in weight_gradient.h.
#include "kernels/convolution/dims.h"
#include "kernels/epilogue.h"
#include "kernels/impl.h"

namespace lgms::kernels {

// How far rounding may go. direct: sums of products as they are written, relative error about 3e-7 of the largest
// magnitude. transformed: Winograd may be used, 1e-6 to 4e-6. Training runs forward with direct, since a ReLU or
// max-pool that flips changes gradients by far more than rounding; what has no such step behind it can be transformed.
// bf16: both factors of a product may be rounded to bfloat16, as the context's precision says; 2e-3 to 4e-3.
enum class Rounding : uint8_t { direct, transformed, bf16 };

// x: [N,D,H,W,Cin], y: [N,D,H,W,Cout], f32 or f64, any row strides; weight: dense [Cout, Cin/groups, k...] with two,
// three or no odd extents k (none: a linear layer); bias: [Cout] or undefined. Overwrites y, which may not overlap x.
// Takes scratch from the context. Throws Error{usage} on shapes or types that do not fit together.
void convolution_forward(const TensorView& x, const TensorView& weight, const TensorView& bias, int64_t groups,
                         const TensorView& y, Rounding rounding = Rounding::transformed);
// dy: [N,D,H,W,Cout], dx: [N,D,H,W,Cin]; otherwise as above. Overwrites dx.
void convolution_data_gradient(const TensorView& dy, const TensorView& weight, int64_t groups, const TensorView& dx);

// The dims of a convolution from x to y, after all checks; argument names are prefixed by d where gradient is true.
ConvolutionDims convolution_dims(const char* op, const TensorView& x, const TensorView& weight, int64_t groups,
                                 const TensorView& y, bool dx = false, bool dweight = false, bool dy = false);

// Weights in memory as an implementation sees them: from input i to output o of group g by tap t they are
// data[g * group + o * out + i * in + t * tap]. For the data gradient data is the last tap, and tap is -1.
template <class T>
struct ConvolutionWeights {
  const T* data;
  int64_t group, out, in, tap;
  T operator()(int64_t g, int64_t o, int64_t i, int64_t t) const {
    return data[g * group + o * out + i * in + t * tap];
  }
};

// One implementation. Weights are packed first, then any range of units of output is computed from them, with all that
// is to be fused; units, and the blocks of an image whose moments are summed, depend on dims only. scratch belongs to
// one call of run.
template <class T>
struct ConvolutionImpl {
  const char* name;
  Device device;
  Isa isa;
  Rounding rounding;
  bool (*accepts)(const ConvolutionDims&);
  int64_t (*packed_size)(const ConvolutionDims&);  // elements
  int64_t (*pack_units)(const ConvolutionDims&);
  void (*pack)(const ConvolutionDims&, int64_t first, int64_t last, const ConvolutionWeights<T>&, T* packed);
  int64_t (*units)(const ConvolutionDims&);
  int64_t (*scratch_size)(const ConvolutionDims&);  // elements
  int64_t (*blocks)(const ConvolutionDims&);        // 0: it sums no moments
  int64_t (*pixels)(const ConvolutionDims&, int64_t block);
  void (*run)(const ConvolutionDims&, int64_t first, int64_t last, const T* x, const T* packed, const Fusing<T>& fusing,
              T* y, T* scratch);
  Provider provider = Provider::own;  // of another provider's: see pick (kernels/impl.h)
  Precision precision = Precision::f32;
};
// Implementations in this build, fastest first, reference last.
std::span<const ConvolutionImpl<float>> convolution_impls();
// Those in bfloat16, which come before where Rounding::bf16 is allowed and the context's precision is theirs or better.
std::span<const ConvolutionImpl<float>> convolution_bf16_impls();

template <class T>
using PreparedConvolution = Prepared<ConvolutionImpl<T>, ConvolutionDims>;
PreparedConvolution<float> prepare(const ConvolutionDims& d, Rounding rounding, const Context& context,
                                   Device device = Device::cpu);
// The same for one row.
template <class T>
PreparedConvolution<T> prepare(const ConvolutionDims& d, const ConvolutionImpl<T>& row, const Context& context);
// packed, scratch: p.packed_bytes and p.scratch_bytes, 64-byte aligned. The epilogue's norm is one table for all
// images; its residual does not overlap y.
template <class T>
void pack(const PreparedConvolution<T>& p, const ConvolutionWeights<T>& weights, T* packed);
template <class T>
void run(const PreparedConvolution<T>& p, const T* x, const T* packed, const Fusing<T>& fusing, T* y, T* scratch);
// Both, with memory of the current context.
template <class T>
void pack_and_run(const PreparedConvolution<T>& p, const T* x, const ConvolutionWeights<T>& weights,
                  const Fusing<T>& fusing, T* y);

// The weights of a convolution as they lie in memory, and as its data gradient sees them (whose dims have cin and cout
// swapped). d: the dims of the forward convolution.
template <class T>
ConvolutionWeights<T> forward_weights(const ConvolutionDims& d, const T* weight) {
  return {weight, d.cout / d.groups * (d.cin / d.groups) * d.taps(), d.cin / d.groups * d.taps(), d.taps(), 1};
}
template <class T>
ConvolutionWeights<T> turned_weights(const ConvolutionDims& d, const T* weight) {
  const ConvolutionWeights<T> w = forward_weights(d, weight);
  return {weight + d.taps() - 1, w.group, w.in, w.out, -1};
}

}  // namespace lgms::kernels
