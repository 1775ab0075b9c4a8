#pragma once
// The recipe of 3D models: every step from a volume to the network's input, as data that travels with the weights.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/geometry.h"
#include "core/transform/orientation.h"

namespace lgms {

// Spec "3D recipe" (paper-3d, reconstructed from MONAI's) and "Corrected 3D recipe" (default-3d).
struct VolumeRecipe {
  std::string name = "default-3d";  // only informs
  bool ras = false;                 // turned to RAS, (D, H, W) = (x, y, z); else the file's order, (z, y, x)
  std::array<double, 3> spacing{};  // mm along (D, H, W) once turned; zeros: each volume's own
  bool window = false;              // intensities low..high to 0..1, clipped; else z-score of each volume
  double low = -175, high = 250;
  bool crop_foreground = false;   // to the box of voxels above 0 (after the window)
  bool pad_edge = true;           // of volumes smaller than the patch: repeat the edge; else zeros
  bool intensity_jitter = false;  // training: scale by 1 +- 0.1, shift by +- 0.1, p 0.1 each
  Size3 patch{96, 96, 96};        // D, H, W; multiples of 32
  double overlap = 0.5;           // of neighbouring windows, share of the patch, in [0, 1)
  bool gaussian = true;           // windows are blended with sigma = patch/8; else all voxels alike

  // "default-3d", "paper-3d". Throws Error{usage} on another name.
  static VolumeRecipe named(std::string_view name);
  // All keys of to_json are needed; unknown ones are refused. Throws Error{model} naming source and key.
  static VolumeRecipe from_json(const std::string& json, const std::string& source);
  std::string to_json() const;
  friend bool operator==(const VolumeRecipe&, const VolumeRecipe&) = default;
};

// How a volume became what the network sees, and so the way back.
struct VolumeGrid {
  Size3 native;                        // D, H, W of the file
  transform::Orientation orientation;  // first the axes are turned,
  Size3 resampled;                     // then the volume is brought to this size,
  Size3 origin{};                      // then the box of `size` that starts here is cut out
  Size3 size;
};

struct VolumeInput {
  Tensor image;  // f32 [D, H, W, 1]; not padded
  VolumeGrid grid;
};

// The grid of a volume of this size, as far as shapes tell: nothing is cut away. This and what uses it: Error{data}
// where the recipe's spacing makes a volume of this one that no memory holds.
VolumeGrid volume_grid(const VolumeRecipe& recipe, const Size3& native, const Affine& affine);
// voxels: f32 [D, H, W, 1] as the file has them. A volume of one value has z-score 0.
VolumeInput make_volume_input(const VolumeRecipe& recipe, const TensorView& voxels, const Affine& affine);
// Labels u8 [D, H, W, 1] brought to the same grid (nearest).
Tensor make_volume_labels(const VolumeGrid& grid, const TensorView& labels);
// x [D, H, W, C] centred in a volume of at least the patch's size, by edge replication or zeros.
Tensor pad_to_patch(const VolumeRecipe& recipe, const TensorView& x);

}  // namespace lgms
