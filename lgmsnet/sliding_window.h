#pragma once
// A volume through a network that sees a patch at a time: windows that overlap, their class probabilities blended, and
// only a ring of slices ever in memory.
#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/geometry.h"

namespace lgms {

// Which windows, and what their voxels weigh. All extents are (D, H, W).
struct WindowPlan {
  Size3 size;               // of the volume
  Size3 patch;              // of a window
  Size3 padded;             // max(size, patch): what the windows lie in
  Size3 origin;             // of the volume in it: (padded - size) / 2
  std::array<int, 3> axes;  // the longest axis of the volume, along which windows advance; the others
  std::array<std::vector<int64_t>, 3> starts;  // first voxels of the windows along each axis of the padded volume
  std::array<std::vector<float>, 3> profile;   // of the patch along each axis: a voxel weighs their product
  std::array<std::vector<float>, 3> sums;  // over the windows at each voxel of the volume: the sum of the products is
                                           // the product of these, since windows lie on a grid

  int64_t windows() const;
  int64_t ring_slices() const;  // of the volume that are in work at once
  // Floats of the ring for this many classes: [ring_slices, the other two axes, classes].
  int64_t ring_size(int64_t classes) const;
};

// Along each axis ceil((n - patch) / step) + 1 windows, step = max(1, floor(patch (1 - overlap))), spread evenly (as
// nnU-Net; MONAI pushes the last one back instead). gaussian: exp(-(i - centre)^2 / (2 sigma^2)), sigma = patch/8, so
// that corners weigh 4e-11; else 1. Throws Error{usage} unless sizes are at least 1 and overlap is in [0, 1).
WindowPlan plan_windows(const Size3& size, const Size3& patch, double overlap, bool gaussian);

// A patch f32 [1, D, H, W, C] to logits f32 [1, D, H, W, K], any row stride.
using PatchNetwork = std::function<Tensor(const Tensor& patch)>;
// Takes slices [first, first + n) of the volume along plan.axes[0]: probabilities f32 [n, X, Y, K], X and Y being the
// extents along plan.axes[1] and [2]. The view is valid during the call.
using SlabSink = std::function<void(int64_t first, const TensorView& probabilities)>;
using WindowProgress = std::function<void(int64_t done, int64_t all)>;

struct WindowOptions {
  bool mirror = false;      // mean over the 8 flips of every patch, each result flipped back
  WindowProgress progress;  // called before the first and after every run of the network
};

// p = sum over windows w softmax(logits) / sum over windows w, handed on slab by slab, in order, each slice once, as
// soon as no later window reaches it. It is probabilities that are averaged, over windows, flips and, on the way to
// another grid, neighbours: each mean is then a probability again, and what one window is sure of another cannot
// outvote by the scale of its logits (nnU-Net and MONAI average logits). image: f32 [D, H, W, C] of plan.padded. The
// same bits for any number of threads. Memory: the ring, a patch, a line per thread, and the network's. Throws
// Error{interrupted} between two runs of the network once the context's stop token is set, Error{usage} on shapes that
// do not fit.
void run_windows(const WindowPlan& plan, const TensorView& image, int64_t classes, const PatchNetwork& network,
                 const SlabSink& sink, const WindowOptions& options = {});

}  // namespace lgms
