#include "kernels/softmax/softmax.h"

#include "kernels/softmax/reference.h"

namespace lgms::kernels {
namespace {

constexpr Impl<SoftmaxForward> impls[] = {{"generic", Device::cpu, Isa::generic, softmax_forward_generic},
                                          {"reference", Device::cpu, Isa::reference, softmax_forward_reference<float>}};

}  // namespace

std::span<const Impl<SoftmaxForward>> softmax_forward_impls() { return impls; }

}  // namespace lgms::kernels
