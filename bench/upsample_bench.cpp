// The four upsamplings on the way up and their 3D twins. B/s counts each tensor once.
#include "bench/support.h"
#include "kernels/upsample/upsample.h"

namespace lgms::kernels {
namespace {

struct Layer {
  const char* name;
  int64_t d, h, w, c;
  int rank;
};
constexpr Layer layers[] = {{"up5_16x16x128", 1, 16, 16, 128, 2},   {"up4_32x32x128", 1, 32, 32, 128, 2},
                            {"up3_64x64x64", 1, 64, 64, 64, 2},     {"up2_128x128x32", 1, 128, 128, 32, 2},
                            {"up3_24x24x24x64", 24, 24, 24, 64, 3}, {"up2_48x48x48x32", 48, 48, 48, 32, 3}};

const bool registered = [] {
  for (const Layer& l : layers) {
    const Shape in{1, l.d, l.h, l.w, l.c}, out{1, l.rank == 3 ? 2 * l.d : l.d, 2 * l.h, 2 * l.w, l.c};
    const double bytes = 4 * static_cast<double>(in.numel() + out.numel());
    bench::add_rows("upsample_forward", upsample_forward_impls(), l.name, "B/s", bytes, [=] {
      return [=, x = bench::normals(in), y = Tensor::empty(out)] { upsample_forward(x, l.rank, y); };
    });
    bench::add_rows("upsample_backward", upsample_backward_impls(), l.name, "B/s", bytes, [=] {
      return [=, dy = bench::normals(out), dx = Tensor::empty(in)] { upsample_backward(dy, l.rank, dx); };
    });
  }
  return true;
}();

}  // namespace
}  // namespace lgms::kernels
