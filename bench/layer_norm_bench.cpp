// The layer norms of the four GMS blocks' transformers. B/s counts each tensor once.
#include "bench/support.h"
#include "kernels/layer_norm/layer_norm.h"

namespace lgms::kernels {
namespace {

struct Layer {
  const char* name;
  int64_t d, h, w, c;
};
constexpr Layer layers[] = {{"dec4_64x64x48", 1, 64, 64, 48},
                            {"enc4_32x32x96", 1, 32, 32, 96},
                            {"enc5_16x16x96", 1, 16, 16, 96},
                            {"dec4_24x24x24x48", 24, 24, 24, 48}};
constexpr double kEps = 1e-5;

const bool registered = [] {
  for (const Layer& l : layers) {
    const Shape shape{1, l.d, l.h, l.w, l.c};
    const double bytes = 4 * static_cast<double>(shape.numel());
    bench::add_rows("layer_norm_forward", layer_norm_forward_impls(), l.name, "B/s", 2 * bytes, [=] {
      return [x = bench::normals(shape), y = Tensor::empty(shape), gamma = bench::normals({l.c}),
              beta = bench::normals({l.c})] { layer_norm_forward(x, gamma, beta, kEps, y); };
    });
    bench::add_rows("layer_norm_backward", layer_norm_backward_impls(), l.name, "B/s", 3 * bytes, [=] {
      return [x = bench::normals(shape), dy = bench::normals(shape, 2), dx = Tensor::empty(shape),
              gamma = bench::normals({l.c}), dgamma = Tensor::empty({l.c}),
              dbeta = Tensor::empty({l.c})] { layer_norm_backward(x, gamma, dy, kEps, dx, dgamma, dbeta); };
    });
  }
  return true;
}();

}  // namespace
}  // namespace lgms::kernels
