// The GMS blocks' depthwise k = 3 and k = 1 on the network's shapes.
#include "bench/support.h"
#include "kernels/depthwise/depthwise.h"

namespace lgms::bench {
namespace {

struct Layer {
  const char* name;
  int64_t n, d, h, w, c;
  bool volume;
  int64_t k;
};
const Layer layers[] = {
    {"k3_32x32_c32", 1, 1, 32, 32, 32, false, 3},    {"k1_32x32_c32", 1, 1, 32, 32, 32, false, 1},
    {"k3_16x16_c32", 1, 1, 16, 16, 32, false, 3},    {"k3_64x64_c16", 1, 1, 64, 64, 16, false, 3},
    {"k1_64x64_c16", 1, 1, 64, 64, 16, false, 1},    {"k3_64x64_c16_batch8", 8, 1, 64, 64, 16, false, 3},
    {"k3_24x24x24_c16", 1, 24, 24, 24, 16, true, 3}, {"k3_12x12x12_c32", 1, 12, 12, 12, 32, true, 3},
    {"k3_6x6x6_c32", 1, 6, 6, 6, 32, true, 3},
};

const bool registered = [] {
  for (const Layer& l : layers) {
    const Shape shape{l.n, l.d, l.h, l.w, l.c};
    const Shape kernel = l.volume ? Shape{l.c, 1, l.k, l.k, l.k} : Shape{l.c, 1, l.k, l.k};
    const double flops = 2.0 * static_cast<double>(kernel.numel() / l.c * shape.numel());
    const auto add = [&](const char* op, const auto& impls, auto call) {
      add_rows(op, impls, l.name, "FLOP/s", flops, [=] {
        return [=, x = normals(shape), y = normals(shape), weight = normals(kernel), bias = normals({l.c})] {
          call(x, y, weight, bias);
        };
      });
    };
    using T = const Tensor&;
    add("depthwise_forward", kernels::depthwise_forward_impls(),
        [](T x, T y, T weight, T bias) { kernels::depthwise_forward(x, weight, bias, y); });
    add("depthwise_data_gradient", kernels::depthwise_forward_impls(),
        [](T x, T y, T weight, T) { kernels::depthwise_data_gradient(y, weight, x); });
    add("depthwise_weight_gradient", kernels::depthwise_weight_gradient_impls(),
        [](T x, T y, T weight, T bias) { kernels::depthwise_weight_gradient(x, y, weight, bias); });
  }
  return true;
}();

}  // namespace
}  // namespace lgms::bench
