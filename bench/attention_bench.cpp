// Attention of the four GMS blocks and their 3D twins, 4 heads. FLOP/s counts products of q, k, v and gradients only:
// 2 of 8 numbers per pair of tokens forward, 5 backward; the exponentials come on top.
#include "bench/support.h"
#include "kernels/attention/attention.h"

namespace lgms::kernels {
namespace {

struct Layer {
  const char* name;
  int64_t d, h, w;
  int rank;
};
constexpr Layer layers[] = {{"dec4_64x64", 1, 64, 64, 2},     {"enc4_32x32", 1, 32, 32, 2},
                            {"enc5_16x16", 1, 16, 16, 2},     {"dec4_24x24x24", 24, 24, 24, 3},
                            {"enc4_12x12x12", 12, 12, 12, 3}, {"enc5_6x6x6", 6, 6, 6, 3}};
constexpr int64_t kHeads = 4, kWidth = kHeads * kHeadDim;

const bool registered = [] {
  for (const Layer& l : layers) {
    const Shape shape{1, l.d, l.h, l.w, kWidth};
    const double grids = l.rank == 3 ? 8 : 4, tokens = static_cast<double>(l.d * l.h * l.w) / grids;
    const double product = 2 * kHeadDim * kHeads * grids * tokens * tokens;
    bench::add_rows("attention_forward", attention_forward_impls(), l.name, "FLOP/s", 2 * product, [=] {
      return [=, qkv = bench::normals(shape.with_channels(3 * kWidth)), y = Tensor::empty(shape),
              statistics = Tensor::empty(shape.with_channels(2 * kHeads))] {
        attention_forward(qkv, kHeads, l.rank, y, statistics);
      };
    });
    bench::add_rows("attention_backward", attention_backward_impls(), l.name, "FLOP/s", 5 * product, [=] {
      const Tensor qkv = bench::normals(shape.with_channels(3 * kWidth)), y = Tensor::empty(shape);
      const Tensor statistics = Tensor::empty(shape.with_channels(2 * kHeads)), dqkv = Tensor::empty(qkv.shape());
      attention_forward(qkv, kHeads, l.rank, y, statistics);
      return [=, dy = bench::normals(shape, 2)] { attention_backward(qkv, y, statistics, dy, kHeads, l.rank, dqkv); };
    });
  }
  return true;
}();

}  // namespace
}  // namespace lgms::kernels
