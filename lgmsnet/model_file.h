#pragma once
// A model on disk: safetensors with everything in the metadata that its weights need to mean something.
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/io/bytes.h"
#include "core/named_tensor.h"
#include "lgmsnet/config.h"
#include "lgmsnet/recipe.h"
#include "lgmsnet/volume_recipe.h"

namespace lgms {

struct ModelFile {
  Config config;
  Recipe recipe;                     // of a 2D network
  VolumeRecipe volume_recipe;        // of a 3D network
  std::vector<std::string> classes;  // names, one per output channel
  std::string training;              // JSON: data, epochs, seed, score, ...; {} where unknown
  NamedTensors tensors;              // weights and statistics under their checkpoint names
};

// f(), which makes something of a model file: what does not fit there is the file's fault, not the caller's.
template <class F>
auto about_model(const std::string& source, const F& f) {
  try {
    return f();
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::usage && e.kind() != ErrorKind::data) throw;
    fail(ErrorKind::model, "[", source, "] ", e.message());
  }
}

// Metadata keys: lgms.format (1), lgms.config, lgms.recipe, lgms.classes, lgms.training. recipe_name: the recipe of a
// file that has none, "default" being that of its rank; empty: such a file is refused. A file without lgms.config has
// it read off its names and shapes. The tensors are those of the configuration, in any order; their numbers are not
// looked at. From a file, from its bytes, or from whatever gives these when asked (io::read_source); the two that have
// no path call it by a name in their errors. Throws Error{model} naming the file on a newer format or anything that
// does not fit.
ModelFile load_model(const std::filesystem::path& path, const std::string& recipe_name = {});
ModelFile load_model(std::span<const uint8_t> bytes, const std::string& name, const std::string& recipe_name = {});
ModelFile load_model(const io::ByteSource& source, const std::string& recipe_name = {});
// Throws Error{output} where the file cannot be written.
void save_model(const std::filesystem::path& path, const ModelFile& model);

}  // namespace lgms
