#pragma once
// Probabilities of a volume on their way to files, class by class, without ever being in memory together.
#include <filesystem>
#include <utility>
#include <vector>

#include "lgmsnet/volume_inference.h"

namespace lgms {

// Takes what NativeLabels hands on into nameless files in a folder (so that nothing stays behind, whatever happens),
// and gives one class back at a time.
class ProbabilitySpool {
 public:
  // Throws Error{output} where the folder cannot be written to.
  ProbabilitySpool(const std::filesystem::path& folder, int64_t classes);
  // As NativeLabels::ProbabilitySink. Throws Error{output} where the disk is full.
  void add(const Size3& at, const TensorView& probabilities);
  // f32 [D, H, W, 1] as the file; voxels that never came are background.
  Tensor volume(const VolumeGrid& grid, const std::array<int, 3>& axes, int64_t label) const;

 private:
  struct Slab {
    Size3 at, size;
  };
  std::vector<Slab> slabs_;
  struct Descriptor {
    explicit Descriptor(int opened) : number(opened) {}
    Descriptor(Descriptor&& other) noexcept : number(std::exchange(other.number, -1)) {}
    ~Descriptor();
    int number;
  };
  std::vector<Descriptor> files_;  // of each class: its values, slab after slab
  std::filesystem::path folder_;
};

}  // namespace lgms
