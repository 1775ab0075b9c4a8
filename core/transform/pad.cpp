#include "core/transform/pad.h"

#include "core/transform/pixels.h"

namespace lgms::transform {

Tensor pad_edge(const TensorView& x, int64_t multiple) {
  expect_image("pad_edge", x);
  const int64_t h = x.shape()[0], w = x.shape()[1];
  check(multiple > 0 && h > 0 && w > 0, ErrorKind::usage, "[pad_edge] expected pixels and a multiple above 0, got ",
        x.shape(), " and ", multiple);
  const auto up = [multiple](int64_t n) { return (n + multiple - 1) / multiple * multiple; };
  return gather_pixels(x, up(h), up(w), [&](int64_t i, int64_t j) {
    return std::pair{std::min(i, h - 1), std::min(j, w - 1)};
  });
}

Tensor crop(const TensorView& x, int64_t h, int64_t w) {
  expect_image("crop", x);
  check(h >= 0 && w >= 0 && h <= x.shape()[0] && w <= x.shape()[1], ErrorKind::usage, "[crop] size: expected at most ",
        x.shape(), ", got ", h, " x ", w);
  return gather_pixels(x, h, w, [](int64_t i, int64_t j) { return std::pair{i, j}; });
}

}  // namespace lgms::transform
