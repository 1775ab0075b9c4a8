#pragma once
// What segmenting a volume will take, before anything starts.
#include <string>
#include <utility>
#include <vector>

#include "lgmsnet/config.h"
#include "lgmsnet/plan.h"
#include "lgmsnet/sliding_window.h"
#include "lgmsnet/volume_recipe.h"

namespace lgms {

// What the program will do with a volume.
struct VolumeWork {
  Size3 native;  // of the file
  Affine affine;
  bool mirror = false;               // test-time augmentation
  bool components = false;           // keep_largest, remove_small
  bool whole_volumes = false;        // probabilities are written, or the image is read again for a picture
  bool whole_probabilities = false;  // are kept in memory
  int64_t program_bytes = 0;         // what the process itself takes, measured before the model was read
};

struct VolumeCost {
  WindowPlan windows;
  ForwardCost forward;  // of one run of the network
  int64_t runs = 0;     // of it
  // Peak resident memory of the process (VmHWM), bytes, by step; the largest step is the estimate.
  struct Step {
    std::string name;
    std::vector<std::pair<std::string, int64_t>> parts;
    int64_t bytes() const;
  };
  std::vector<Step> steps;
  size_t first_window_step = 0;  // from which on the next volume may be read
  int64_t voxel_bytes = 0;       // of the volume as it is read
  const Step& largest() const;
  // ahead: bytes of the next volume, read meanwhile.
  int64_t peak_bytes(int64_t ahead = 0) const;
};

// From shapes alone, in the current context, which must be lean (ContextOptions). The estimate E holds for a process
// that does nothing else: 0.9 E <= VmHWM <= E for E of 200 MB and more, but for recipes with crop_foreground, where it
// takes the volume to be foreground throughout and the run may need less. Throws Error{usage} on patches that the
// network cannot take.
VolumeCost plan_volume(const Config& config, const VolumeRecipe& recipe, const VolumeWork& work);

}  // namespace lgms
