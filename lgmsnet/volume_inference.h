#pragma once
// From a volume to its labels, and from the windows' probabilities back to the file's grid.
#include <functional>

#include "lgmsnet/sliding_window.h"
#include "lgmsnet/volume_recipe.h"

namespace lgms {

// The file's voxels seen along the axes of the slabs: voxel (a, x, y) of the turned volume, its axes in the order of
// WindowPlan::axes, is voxel first + a stride[0] + x stride[1] + y stride[2] of the file.
struct NativeFrame {
  Size3 extents;
  std::array<int64_t, 3> stride;
  int64_t first = 0;
};
NativeFrame native_frame(const VolumeGrid& grid, const std::array<int, 3>& axes);

// The way back: probabilities of slabs, as run_windows hands them on, to labels on the file's grid. The crop box is put
// back (outside of it the background, class 0, has probability 1), the probabilities are resampled to the file's
// voxels, the class with the largest one is taken (of equals the first), and the axes are turned back. Where the grid
// has the file's voxels nothing is resampled: the labels are exactly the argmax of the slabs. Memory: the labels, and
// where voxels differ about 16 MB, but at least a few slices of the source and one of the result.
class NativeLabels {
 public:
  // Takes the probabilities that labels are made of too: f32 [n, X, Y, K], the first of which is voxel `at` of the
  // NativeFrame. Voxels that never come are background.
  using ProbabilitySink = std::function<void(const Size3& at, const TensorView& probabilities)>;

  // axes: of the slabs, WindowPlan::axes. Throws Error{usage} on more than 256 classes.
  NativeLabels(const VolumeGrid& grid, const std::array<int, 3>& axes, int64_t classes, ProbabilitySink also = {});

  // Slices [first, first + n) of the box along axes[0]; in order, each once.
  void add(int64_t first, const TensorView& probabilities);
  // u8 [D, H, W, 1] as the file, once the last slab was added.
  Tensor finish();

  // Bytes from the first slab to the last, and on top of that while a slab is added.
  struct Memory {
    int64_t held, moment;
  };
  static Memory memory(const VolumeGrid& grid, const std::array<int, 3>& axes, int64_t classes);

 private:
  void source_slices_arrived();
  void take(int64_t first, const TensorView& probabilities);

  ProbabilitySink also_;
  NativeFrame frame_;
  Size3 source_, box_, origin_, out_;  // extents in the order of the slabs' axes
  int64_t classes_;
  bool resamples_;
  Tensor labels_;
  Tensor buffer_;  // source slices [buffered_, arrived_) of the whole cross-section
  int64_t buffered_ = 0, arrived_ = 0, written_ = 0;
};

struct VolumeOptions {
  WindowOptions windows;
  NativeLabels::ProbabilitySink probabilities;
};

struct Segmentation {
  Tensor labels;  // u8 [D, H, W, 1] as the file
  VolumeGrid grid;
  std::array<int, 3> axes;  // of the windows' slabs
};

// The labels of a volume that the recipe has prepared, on the grid of input.grid.native; the image is let go once it is
// padded. Patch, overlap and blending as the recipe says. Throws as run_windows.
Segmentation segment_input(const VolumeRecipe& recipe, VolumeInput input, int64_t classes, const PatchNetwork& network,
                           const VolumeOptions& options = {});

// The labels of a volume f32 [D, H, W, 1] as a file has it. The voxels are let go once the input is made. Throws as
// segment_input.
Segmentation segment_volume(const VolumeRecipe& recipe, Tensor voxels, const Affine& affine, int64_t classes,
                            const PatchNetwork& network, const VolumeOptions& options = {});

}  // namespace lgms
