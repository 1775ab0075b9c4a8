#pragma once
// From a picture or a volume, as a file has it, to what a model sees in it: one door for both. Whoever segments (the
// program, scores, training's pictures, an embedding program) comes through here; files are read and written outside.
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "lgmsnet/inference.h"
#include "lgmsnet/label_statistics.h"
#include "lgmsnet/model_file.h"
#include "lgmsnet/volume_inference.h"
#include "lgmsnet/volume_plan.h"

namespace lgms {

struct PredictOptions {
  bool statistics = false;  // Prediction::statistics is wanted

  // Pictures: the network sees them at their own size, padded to multiples of 32, not at the size of the recipe.
  bool native_size = false;

  // Volumes
  Affine affine{};                   // voxel (i, j, k) -> mm, as NIfTI has it
  bool mirror = false;               // the mean over the 8 mirrored windows
  bool keep_largest = false;         // component of every label
  double min_millilitres = 0;        // of a component, else it is removed; finite
  WindowProgress progress = {};      // called before the first and after every run of the network
  bool whole_probabilities = false;  // Prediction::probabilities is wanted, as they were before components go
  NativeLabels::ProbabilitySink probabilities = {};  // takes them slab by slab: ProbabilitySpool keeps them in files
};

struct Prediction {
  Tensor labels;              // picture: u8 [H, W, K], 0 or 255 for every class; volume: u8 [D, H, W, 1], the class
  Tensor probabilities;       // picture: f32 [H, W, K], each by itself; volume: f32 [D, H, W, K], which add up to 1
  VolumeGrid grid;            // volume: where the slabs of probabilities lie,
  std::array<int, 3> axes{};  // and the order of their axes
  std::vector<LabelStatistics> statistics = {};  // picture: mask_statistics; volume: label_statistics
};

class Predictor {
 public:
  // The model's recipes may have been changed before. Throws Error{model} naming source where the weights are not those
  // of such a network, or it sees anything but RGB pictures or volumes of one channel.
  Predictor(ModelFile model, const std::string& source);
  // The same with a network that exists already.
  Predictor(ModelFile model, Inference network);

  // Without its tensors.
  const ModelFile& model() const { return model_; }
  bool volumes() const { return model_.config.rank == 3; }

  // array: a picture, u8 or f32 [H, W, 3] in 0..255, or a volume, f32 [D, H, W, 1]; a volume's memory is let go once
  // the input is made. In the current context, whose stop token ends a volume between two windows (Error{interrupted}).
  // Throws Error{usage} on another shape, type or option, Error{model} where the network gives no numbers.
  Prediction predict(Tensor array, const PredictOptions& options = {}) const;
  // Where training scores, on the grid of the recipe. Of a picture: f32 [1, 1, h, w, K].
  Tensor logits(const Tensor& picture) const;
  // Of a volume that make_volume_input has prepared, f32 [D, H, W, 1]: u8 [D, H, W, 1], the class.
  Tensor grid_labels(const Tensor& image) const;

  // Bytes that tensors will take at once while a picture of this shape and type is predicted, packed weights among
  // them, the model's own and the picture itself apart. In the current context.
  int64_t picture_bytes(const Shape& picture, DType dtype, const PredictOptions& options) const;
  // What a volume will take, before anything starts: plan_volume with the model's recipe, or another one.
  VolumeCost cost(const Size3& native, const PredictOptions& options, bool whole_volumes, int64_t program_bytes,
                  const std::optional<VolumeRecipe>& recipe = {}) const;
  // The largest patch with which a volume needs at most `most` bytes, found by making the longest side shorter by 32;
  // where even the smallest does not fit, that one.
  struct FittingPatch {
    Size3 patch;
    int64_t peak_bytes;
  };
  FittingPatch fitting_patch(const Size3& native, const PredictOptions& options, bool whole_volumes,
                             int64_t program_bytes, int64_t most) const;
  // Seconds that one run of the network on a whole patch should take: the second run of a patch of at most 64 voxels a
  // side, scaled by multiply-adds.
  double seconds_per_window() const;

 private:
  Tensor forward(const Tensor& x) const;
  Tensor run(const Tensor& input) const;
  Prediction predict_picture(const Tensor& picture, const PredictOptions& options) const;
  Prediction predict_volume(Tensor voxels, const PredictOptions& options) const;

  ModelFile model_;
  Inference network_;
};

}  // namespace lgms
