#include "kernels/convolution/vector_generic.h"
//
namespace {
constexpr int kJ = 4, kV = 2;
}
#include "kernels/convolution/weight_gradient_winograd_loops.h"

namespace lgms::kernels {

int64_t correlation_scratch_generic(const CorrelationDims& d) { return correlation_scratch(d); }
int64_t correlation_winograd_scratch_generic(const CorrelationDims& d) { return correlation_winograd_scratch(d); }

void correlation_generic(const CorrelationDims& d, int64_t first, int64_t last, const float* a, const float* b,
                         const CorrelationSums<float>& to, float* scratch) {
  correlation(d, first, last, a, b, to, scratch);
}

void correlation_winograd_generic(const CorrelationDims& d, int64_t first, int64_t last, const float* a, const float* b,
                                  const CorrelationSums<float>& to, float* scratch) {
  correlation_winograd(d, first, last, a, b, to, scratch);
}

}  // namespace lgms::kernels
