#pragma once
// A model file ready to run: what eval and predict share.
#include <filesystem>

#include "lgmsnet/inference.h"
#include "lgmsnet/model_file.h"

namespace lgms::tools {

struct Model {
  ModelFile file;
  Inference net;

  // recipe: for a file without one, else empty. Throws Error{model} on anything but a 2D model with three input
  // channels.
  Model(const std::filesystem::path& path, const std::string& recipe) : Model(load_model(path, recipe), path) {}
  Model(ModelFile loaded, const std::filesystem::path& path);
  // image: u8 or f32 [H, W, 3], 0..255 -> probabilities f32 [H, W, K] at its own size. native: the network sees the
  // image at that size, padded to multiples of 32; else resized to the size of the recipe.
  Tensor probabilities(const Tensor& image, bool native) const;
  // Logits [1, 1, h, w, K] on the grid of the recipe.
  Tensor logits(const Tensor& image) const;
};

}  // namespace lgms::tools
