#pragma once
// Two convolutions of one tap, one behind the other, some pixels at a time, so that what lies between them stays in the
// cache and is in memory nowhere else:
//   y = e2(W2 e1(W1 x))
// with the epilogues (kernels/epilogue.h) e1, which has no residual, and e2. Bits: those of the two one by one. Forward
// only. The whole 2D network on one Sapphire Rapids core took 0.95 of its time before.
#include "kernels/convolution/convolution.h"

namespace lgms::kernels {

// Dims of both, of one group; second.cin is first.cout, and of the same pixels. first.ldy and second.ldx have no
// meaning.
struct PointwisePairDims {
  ConvolutionDims first, second;
};

// Of a piece of the pixels, by the rows that convolutions have.
struct PreparedPointwisePair {
  const ConvolutionImpl<float>* row;  // the second's
  PointwisePairDims dims;
  PreparedConvolution<float> first, second;  // of a piece
  int64_t units = 0;                         // pieces
  int64_t packed_bytes = 0;                  // the first's, then the second's
  int64_t scratch_bytes = 0;                 // for all threads of the context
};
PreparedPointwisePair prepare(const PointwisePairDims& d, Rounding rounding, const Context& context);
// weights: dense [Cout, Cin]. packed, scratch: p.packed_bytes and p.scratch_bytes, 64-byte aligned.
void pack(const PreparedPointwisePair& p, const float* first, const float* second, float* packed);
// y overlaps neither x nor a residual.
void run(const PreparedPointwisePair& p, const float* x, const float* packed, const Epilogue<Strided<float>>& first,
         const Epilogue<Strided<float>>& second, float* y, float* scratch);

}  // namespace lgms::kernels
