#include "kernels/softmax/softmax.h"

#include "kernels/softmax/reference.h"

namespace lgms::kernels {
namespace {

constexpr Impl<SoftmaxAdd> impls[] = {
#if LGMS_X86
    {"avx512", Device::cpu, Isa::avx512, softmax_add_avx512},
    {"avx2", Device::cpu, Isa::avx2, softmax_add_avx2},
#endif
    {"generic", Device::cpu, Isa::generic, softmax_add_generic},
    {"reference", Device::cpu, Isa::reference, softmax_add_reference<float>}};

}  // namespace

std::span<const Impl<SoftmaxAdd>> softmax_add_impls() { return impls; }

}  // namespace lgms::kernels
