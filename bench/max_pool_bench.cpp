// The four max pools on the way down and their 3D twins, with the index that training needs. B/s counts each tensor
// once.
#include "bench/support.h"
#include "kernels/max_pool/max_pool.h"

namespace lgms::kernels {
namespace {

struct Layer {
  const char* name;
  int64_t d, h, w, c;
  int rank;
};
constexpr Layer layers[] = {{"256x256x16", 1, 256, 256, 16, 2}, {"128x128x32", 1, 128, 128, 32, 2},
                            {"64x64x64", 1, 64, 64, 64, 2},     {"32x32x128", 1, 32, 32, 128, 2},
                            {"96x96x96x16", 96, 96, 96, 16, 3}, {"48x48x48x32", 48, 48, 48, 32, 3}};

const bool registered = [] {
  for (const Layer& l : layers) {
    const Shape in{1, l.d, l.h, l.w, l.c}, out{1, l.rank == 3 ? l.d / 2 : l.d, l.h / 2, l.w / 2, l.c};
    const double bytes = 4 * static_cast<double>(in.numel()) + 5 * static_cast<double>(out.numel());
    bench::add_rows("max_pool_forward", max_pool_forward_impls(), l.name, "B/s", bytes, [=] {
      return [=, x = bench::normals(in), y = Tensor::empty(out), index = Tensor::empty(out, DType::u8)] {
        max_pool_forward(x, l.rank, y, index);
      };
    });
    bench::add_rows("max_pool_backward", max_pool_backward_impls(), l.name, "B/s", bytes, [=] {
      const Tensor dx = bench::normals(in), dy = bench::normals(out), index = Tensor::empty(out, DType::u8);
      max_pool_forward(dx, l.rank, Tensor::empty(out), index);
      return [=] { max_pool_backward(dy, index, l.rank, dx); };
    });
  }
  return true;
}();

}  // namespace
}  // namespace lgms::kernels
