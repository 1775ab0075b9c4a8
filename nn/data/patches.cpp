#include "nn/data/patches.h"

#include <algorithm>

#include "core/error.h"

namespace lgms::nn {
namespace {

using transform::Orientation;

Size3 size_of(const TensorView& x) { return {x.shape()[0], x.shape()[1], x.shape()[2]}; }

// The voxel that is `index`-th, in the order of memory, among those that are foreground or not.
Size3 voxel(const Tensor& labels, bool foreground, int64_t index) {
  const auto values = labels.span<uint8_t>();
  int64_t at = 0;
  for (;; ++at)
    if ((values[static_cast<size_t>(at)] > 0) == foreground && index-- == 0) break;
  const int64_t h = labels.shape()[1], w = labels.shape()[2];
  return {at / (h * w), at / w % h, at % w};
}

Size3 draw_centre(const Tensor& labels, double chance, Rng& rng) {
  const auto values = labels.span<uint8_t>();
  const auto inside = std::count_if(values.begin(), values.end(), [](uint8_t v) { return v > 0; });
  const int64_t outside = std::ssize(values) - inside;
  const bool foreground = (rng.uniform() < chance && inside > 0) || outside == 0;
  return voxel(labels, foreground,
               static_cast<int64_t>(rng.below(static_cast<uint32_t>(foreground ? inside : outside))));
}

void jitter(const Tensor& image, Rng& rng) {
  const float scale = rng.uniform() < 0.1 ? static_cast<float>(1 + rng.uniform(-0.1, 0.1)) : 1;
  const float shift = rng.uniform() < 0.1 ? static_cast<float>(rng.uniform(-0.1, 0.1)) : 0;
  if (scale == 1 && shift == 0) return;
  for (float& v : image.span<float>()) v = v * scale + shift;
}

}  // namespace

Orientation draw_move(Rng& rng) {
  Orientation move;
  if (rng.uniform() < 0.2) {
    const uint32_t turns = 1 + rng.below(3);
    if (turns % 2 == 1) std::swap(move.from[0], move.from[1]);
    move.flip[0] = turns != 3;  // y[i, j] = x[j, H-1-i] for one turn, x[D-1-i, H-1-j] for two
    move.flip[1] = turns != 1;
  }
  for (size_t axis = 0; axis < 3; ++axis)
    if (rng.uniform() < 0.2) move.flip[axis] = !move.flip[axis];
  return move;
}

Input random_patch(const Example& example, const PatchOptions& options, Rng& rng) {
  const Size3 size = size_of(example.image);
  check(example.image.shape().rank() == 4 && size_of(example.masks) == size, ErrorKind::internal, "[patch] ",
        example.stem, ": expected labels of the image's size ", example.image.shape(), ", got ", example.masks.shape());
  const Orientation move = draw_move(rng);
  const Size3 box = transform::reoriented(options.size, move.inverse());
  const Size3 centre = draw_centre(example.masks, options.foreground, rng);
  Size3 origin;
  for (size_t a = 0; a < 3; ++a)
    origin[a] = size[a] <= box[a] ? -((box[a] - size[a]) / 2)
                                  : std::clamp<int64_t>(centre[a] - box[a] / 2, 0, size[a] - box[a]);
  const Tensor image = transform::reorient(transform::cut(example.image, origin, box, options.outside), move);
  if (options.jitter) jitter(image, rng);
  const Tensor labels = transform::reorient(transform::cut(example.masks, origin, box, options.outside), move);
  return {image, labels.to(DType::i64).reshaped({options.size[0], options.size[1], options.size[2]})};
}

Size3 patch_of(const std::vector<Size3>& sizes) {
  check(!sizes.empty(), ErrorKind::usage, "[patch] sizes: expected some, got none");
  Size3 patch;
  for (size_t a = 0; a < 3; ++a) {
    std::vector<int64_t> sides;
    sides.reserve(sizes.size());
    for (const Size3& size : sizes) sides.push_back(size[a]);
    std::sort(sides.begin(), sides.end());
    const int64_t twice = sides[sides.size() / 2] + sides[(sides.size() - 1) / 2];  // the median, of two the mean
    patch[a] = std::clamp<int64_t>((twice + 32) / 64 * 32, 32, 96);
  }
  return patch;
}

}  // namespace lgms::nn
