#pragma once
// oneDNN, the library that frameworks compute convolutions with: optional, found when the build is configured
// (onednn.cmake). Its convolutions are rows like ours (kernels/convolution/onednn.h), which contexts with
// Provider::onednn take.
#include <string>

namespace lgms::kernels {

// Its version and where it takes threads from, or that it is not in this build.
std::string onednn_description();

}  // namespace lgms::kernels
