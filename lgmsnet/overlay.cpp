#include "lgmsnet/overlay.h"

#include "core/transform/resize.h"

namespace lgms {
namespace {

constexpr std::array<Colour, 6> kColours{
    {{230, 60, 40}, {86, 130, 233}, {204, 121, 167}, {230, 159, 0}, {0, 190, 200}, {150, 90, 230}}};

struct Mask {
  const Tensor& masks;
  int64_t k;
  bool inside(int64_t i, int64_t j) const {
    const int64_t h = masks.shape()[0], w = masks.shape()[1];
    if (i < 0 || j < 0 || i >= h || j >= w) return false;
    return masks.data<uint8_t>()[(i * w + j) * masks.row_stride() + k] != 0;
  }
  bool edge(int64_t i, int64_t j) const {
    return inside(i, j) && !(inside(i - 1, j) && inside(i + 1, j) && inside(i, j - 1) && inside(i, j + 1));
  }
};

}  // namespace

Colour label_colour(int64_t label) { return kColours[static_cast<size_t>(label - 1) % kColours.size()]; }

void paint(uint8_t* pixel, const Colour& colour, int percent) {
  for (size_t c = 0; c < 3; ++c)
    pixel[c] = static_cast<uint8_t>((pixel[c] * (100 - percent) + colour[c] * percent) / 100);
}

Tensor overlay(const Tensor& image, const Tensor& masks, const Tensor& truth) {
  Tensor picture = image.dtype() == DType::u8 ? image.clone() : transform::round_to_8_bits(image).to(DType::u8);
  const int64_t h = image.shape()[0], w = image.shape()[1];
  for (int64_t k = 0; k < masks.channels(); ++k)
    for (int64_t i = 0; i < h; ++i)
      for (int64_t j = 0; j < w; ++j) {
        uint8_t* pixel = picture.data<uint8_t>() + (i * w + j) * 3;
        const Mask mask{masks, k};
        if (mask.inside(i, j)) paint(pixel, label_colour(k + 1), mask.edge(i, j) ? 100 : 35);
        if (truth.defined() && Mask{truth, k}.edge(i, j)) paint(pixel, kTruthColour);
      }
  return picture;
}

}  // namespace lgms
