#include "lgmsnet/volume_inference.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/context.h"
#include "core/error.h"
#include "core/transform/resample.h"

namespace lgms {
namespace {

constexpr int64_t kWorkBytes = 8 << 20;  // of source slices, and of resampled ones, beyond the fewest possible

Size3 in_order(const Size3& extents, const std::array<int, 3>& axes) {
  Size3 ordered;
  for (size_t i = 0; i < 3; ++i) ordered[i] = extents[static_cast<size_t>(axes[i])];
  return ordered;
}

int64_t slice_bytes(const Size3& size, int64_t classes) { return size[1] * size[2] * classes * int64_t{sizeof(float)}; }

// Slices that are worked on at a time.
int64_t chunk(const Size3& size, int64_t classes) {
  return std::clamp<int64_t>(kWorkBytes / slice_bytes(size, classes), 1, size[0]);
}

// Source slices that some output slice reads, at most.
int64_t reach(const Size3& source, const Size3& out) {
  int64_t most = 1;
  for (int64_t o = 0; o < out[0]; ++o) {
    const auto [first, last] = transform::source_slices(source[0], out[0], o, o + 1);
    most = std::max(most, last - first);
  }
  return most;
}

int64_t buffer_slices(const Size3& source, const Size3& out, int64_t classes) {
  return std::min(source[0], reach(source, out) + chunk(source, classes));
}

}  // namespace

NativeFrame native_frame(const VolumeGrid& grid, const std::array<int, 3>& axes) {
  NativeFrame frame{in_order(transform::reoriented(grid.native, grid.orientation), axes), {}, 0};
  const std::array<int64_t, 3> stride{grid.native[1] * grid.native[2], grid.native[2], 1};
  for (size_t i = 0; i < 3; ++i) {
    const auto turned = static_cast<size_t>(axes[i]), native = static_cast<size_t>(grid.orientation.from[turned]);
    frame.stride[i] = grid.orientation.flip[turned] ? -stride[native] : stride[native];
    if (grid.orientation.flip[turned]) frame.first += (grid.native[native] - 1) * stride[native];
  }
  return frame;
}

NativeLabels::NativeLabels(const VolumeGrid& grid, const std::array<int, 3>& axes, int64_t classes,
                           ProbabilitySink also)
    : also_(std::move(also)),
      frame_(native_frame(grid, axes)),
      source_(in_order(grid.resampled, axes)),
      box_(in_order(grid.size, axes)),
      origin_(in_order(grid.origin, axes)),
      out_(frame_.extents),
      classes_(classes),
      resamples_(source_ != out_) {
  check(classes >= 1 && classes <= 256, ErrorKind::usage, "[labels] classes: expected 1 to 256, got ", classes);
  const auto [depth, height, width] = grid.native;
  labels_ = Tensor::zeros({depth, height, width, 1}, DType::u8);
  if (!resamples_) return;
  buffer_ = Tensor::empty({buffer_slices(source_, out_, classes), source_[1], source_[2], classes});
}

NativeLabels::Memory NativeLabels::memory(const VolumeGrid& grid, const std::array<int, 3>& axes, int64_t classes) {
  const Size3 source = in_order(grid.resampled, axes), out = native_frame(grid, axes).extents;
  const int64_t labels = grid.native[0] * grid.native[1] * grid.native[2];
  if (source == out) return {labels, 0};
  return {labels + buffer_slices(source, out, classes) * slice_bytes(source, classes),
          chunk(out, classes) * slice_bytes(out, classes)};
}

// Slices of the source that are complete: those of the slab, and before and after the box nothing but background.
void NativeLabels::add(int64_t first, const TensorView& slab) {
  const int64_t count = slab.shape()[0];
  check(slab.shape() == Shape{count, box_[1], box_[2], classes_} && slab.dtype() == DType::f32 && slab.is_dense() &&
            first >= 0 && first + count <= box_[0],
        ErrorKind::usage, "[labels] probabilities: expected dense f32 slices of [", box_[0], ", ", box_[1], ", ",
        box_[2], ", ", classes_, "], got ", slab.dtype(), " ", slab.shape(), " at ", first);
  if (!resamples_) {
    take(origin_[0] + first, slab);
    return;
  }
  const bool last = first + count == box_[0];
  const int64_t end = last ? source_[0] : origin_[0] + first + count, slice = source_[1] * source_[2] * classes_;
  check(arrived_ == (first == 0 ? 0 : origin_[0] + first), ErrorKind::usage,
        "[labels] expected slabs in order, got one at ", first);
  while (arrived_ < end) {
    const int64_t room = buffer_.shape()[0] - (arrived_ - buffered_), until = std::min(end, arrived_ + room);
    for (; arrived_ < until; ++arrived_) {
      float* const into = buffer_.data<float>() + (arrived_ - buffered_) * slice;
      const int64_t inside = arrived_ - origin_[0] - first;  // of the slab
      const bool filled = inside >= 0 && inside < count;
      if (filled && source_[1] == box_[1] && source_[2] == box_[2]) {
        std::copy_n(slab.data<float>() + inside * slice, slice, into);
        continue;
      }
      std::fill_n(into, slice, 0.f);
      for (int64_t i = 0; i < slice; i += classes_) into[i] = 1;
      for (int64_t x = 0; filled && x < box_[1]; ++x)
        std::copy_n(slab.data<float>() + (inside * box_[1] + x) * box_[2] * classes_, box_[2] * classes_,
                    into + ((origin_[1] + x) * source_[2] + origin_[2]) * classes_);
    }
    source_slices_arrived();
  }
}

// Resamples what can be, and keeps the slices that later ones need.
void NativeLabels::source_slices_arrived() {
  const int64_t most = chunk(out_, classes_), slice = source_[1] * source_[2] * classes_;
  while (written_ < out_[0]) {
    int64_t end = written_;
    while (end < out_[0] && end - written_ < most &&
           transform::source_slices(source_[0], out_[0], written_, end + 1)[1] <= arrived_)
      ++end;
    if (end == written_) break;
    const TensorView have(buffer_.data<float>(), DType::f32, {arrived_ - buffered_, source_[1], source_[2], classes_});
    take(written_, transform::resample_linear_slab(have, buffered_, source_[0], out_, written_, end));
    written_ = end;
  }
  const int64_t needed =
      written_ == out_[0] ? arrived_ : transform::source_slices(source_[0], out_[0], written_, written_ + 1)[0];
  const int64_t keep = std::clamp(needed, buffered_, arrived_);
  float* const start = buffer_.data<float>();
  std::memmove(start, start + (keep - buffered_) * slice,
               static_cast<size_t>((arrived_ - keep) * slice) * sizeof(float));
  buffered_ = keep;
}

// Labels of the slices [first, first + n) of the turned file; where nothing is resampled, of the box in them.
void NativeLabels::take(int64_t first, const TensorView& p) {
  const Size3 at{first, resamples_ ? 0 : origin_[1], resamples_ ? 0 : origin_[2]};
  if (also_) also_(at, p);
  const int64_t x_all = p.shape()[1], y_all = p.shape()[2];
  const auto& stride = frame_.stride;
  const int64_t start = frame_.first + at[0] * stride[0] + at[1] * stride[1] + at[2] * stride[2];
  parallel_ranges(p.shape()[0] * x_all, 8, [&](int64_t from, int64_t to, int) {
    for (int64_t row = from; row < to; ++row) {
      uint8_t* const into = labels_.data<uint8_t>() + start + row / x_all * stride[0] + row % x_all * stride[1];
      const float* voxel = p.data<float>() + row * y_all * classes_;
      for (int64_t y = 0; y < y_all; ++y, voxel += classes_) {
        const float* const best = std::max_element(voxel, voxel + classes_);
        check(!std::isnan(*best), ErrorKind::model,
              "[labels] probabilities: expected numbers, the network gave others; its training diverged, or the volume "
              "is beyond what it can take");
        into[y * stride[2]] = static_cast<uint8_t>(best - voxel);
      }
    }
  });
}

Tensor NativeLabels::finish() {
  check(!resamples_ || written_ == out_[0], ErrorKind::usage, "[labels] expected all slabs, got those up to ",
        arrived_);
  return std::move(labels_);
}

Segmentation segment_input(const VolumeRecipe& recipe, VolumeInput input, int64_t classes, const PatchNetwork& network,
                           const VolumeOptions& options) {
  const WindowPlan plan = plan_windows(input.grid.size, recipe.patch, recipe.overlap, recipe.gaussian);
  if (plan.padded != plan.size) input.image = pad_to_patch(recipe, input.image);
  NativeLabels labels(input.grid, plan.axes, classes, options.probabilities);
  run_windows(
      plan, input.image, classes, network, [&](int64_t first, const TensorView& p) { labels.add(first, p); },
      options.windows);
  return {labels.finish(), input.grid, plan.axes};
}

Segmentation segment_volume(const VolumeRecipe& recipe, Tensor voxels, const Affine& affine, int64_t classes,
                            const PatchNetwork& network, const VolumeOptions& options) {
  VolumeInput input = make_volume_input(recipe, voxels, affine);
  voxels = {};
  return segment_input(recipe, std::move(input), classes, network, options);
}

}  // namespace lgms
