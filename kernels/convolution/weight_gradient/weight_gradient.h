#pragma once
// The gradients of a convolution with respect to its weight and bias.
#include "kernels/convolution/dims.h"
#include "kernels/impl.h"

namespace lgms::kernels {

// dweight[o,i,t] = sum over pixels p of dy[p,o] * x[p + t - k/2, i]   (x is 0 outside its image; i within o's group)
// dbias[o] = sum over p of dy[p,o]
// x: [N,D,H,W,Cin], dy: [N,D,H,W,Cout], any row strides; dweight: dense [Cout, Cin/groups], then nothing (k = 1),
// [kh,kw] or [kd,kh,kw], k odd; dbias: dense [Cout] or undefined. All f32 or all f64. Overwrites; no output may alias
// an input. Scratch of at most about 20 MB comes from the context. Same bits for any number of threads. Throws
// Error{usage} on shapes or types that do not fit. Source: torch.nn.grad.conv2d_weight / conv3d_weight(padding=k//2).
void convolution_weight_gradient(const TensorView& x, const TensorView& dy, int64_t groups, const TensorView& dweight,
                                 const TensorView& dbias);

// The sum behind it, for one group: the correlation of two images a and b over a window of kd x kh x kw taps,
//   p[t,j,i] = sum over pixels q of b[q,j] * a[q + t - k/2, i]     (a is 0 outside its image)
// One of a and b is x, the other dy (then the taps run backwards): whichever fills the lanes of a vector better is a.
// a: [n,d,h,w,ca] at row stride lda, b: [n,d,h,w,cb] at ldb, p: [taps,cb,ca] at row stride ldp, a multiple of 16 >= ca;
// the lanes between ca and the next multiple of 16 may be overwritten. p is 64-byte aligned.
struct CorrelationDims {
  int64_t n, d, h, w, ca, cb, lda, ldb, ldp, kd, kh, kw;

  int64_t taps() const { return kd * kh * kw; }
};

// The unit of work: some rows of some neighbouring slices of one image of b, about a thousand pixels.
struct Slab {
  int64_t n, z, slices, y, rows;
};
int64_t correlation_units(const CorrelationDims& d);
Slab correlation_slab(const CorrelationDims& d, int64_t unit);  // unit 0: the largest

// What a range of units gives: p is overwritten; to sum_a[ca] and sum_b[cb], where they are not null, the sums of a and
// b over the pixels of the units are added.
template <class T>
struct CorrelationSums {
  T *p, *sum_a, *sum_b;
};

template <class T>
using CorrelationRun = void(const CorrelationDims&, int64_t first, int64_t last, const T* a, const T* b,
                            const CorrelationSums<T>& to, T* scratch);

struct CorrelationImpl {
  const char* name;
  Device device;
  Isa isa;
  bool (*accepts)(const CorrelationDims&);
  int64_t (*scratch)(const CorrelationDims&);  // floats, for each thread
  CorrelationRun<float>* run;
};

using CorrelationScratch = int64_t(const CorrelationDims&);
CorrelationRun<float> correlation_winograd_avx512, correlation_winograd_avx2, correlation_winograd_generic;
CorrelationRun<float> correlation_avx512, correlation_avx2, correlation_generic;
CorrelationScratch correlation_winograd_scratch_avx512, correlation_winograd_scratch_avx2,
    correlation_winograd_scratch_generic;
CorrelationScratch correlation_scratch_avx512, correlation_scratch_avx2, correlation_scratch_generic;

// Implementations in this build, fastest first, reference last.
std::span<const CorrelationImpl> correlation_impls();

}  // namespace lgms::kernels
