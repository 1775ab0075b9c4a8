#include "lgmsnet/model_file.h"

#include "core/io/class_names.h"
#include "core/io/safetensors.h"
#include "lgmsnet/json.h"
#include "lgmsnet/names.h"
#include "lgmsnet/recipe_names.h"
#include "lgmsnet/steps.h"

namespace lgms {
namespace {

constexpr int kFormat = 1;

const std::string* find(const io::Metadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? nullptr : &found->second;
}

std::vector<std::string> class_names(const std::string* json, const Config& config, const std::string& source) {
  std::vector<std::string> names;
  if (json == nullptr) {
    for (int64_t k = 0; k < config.classes; ++k) names.push_back("class " + std::to_string(k));
    return names;
  }
  const io::Json list = io::parse_json(*json).value;
  check(list.is_array() && list.size() == static_cast<size_t>(config.classes), ErrorKind::model, "[", source,
        "] lgms.classes: expected a list of ", config.classes, " names, got ", *json);
  for (const io::Json& name : list.items()) {
    check(name.is_string(), ErrorKind::model, "[", source, "] lgms.classes: expected names, got ", name.dump());
    names.push_back(name.string());
  }
  io::check_class_names(names, ErrorKind::model, "[" + source + "] lgms.classes");
  return names;
}

ModelFile model_of(io::Safetensors file, const std::string& source, const std::string& recipe_name) {
  if (const std::string* format = find(file.metadata, "lgms.format"))
    check(*format == std::to_string(kFormat), ErrorKind::model, "[", source, "] lgms.format: expected ", kFormat,
          ", got ", *format, "; a newer lgmsnet wrote this file, update to read it");
  ModelFile model;
  model.tensors = with_our_names(std::move(file.tensors));
  const std::string *config = find(file.metadata, "lgms.config"), *recipe = find(file.metadata, "lgms.recipe");
  model.config = config ? Config::from_json(*config, source) : config_of(model.tensors, source);
  in_order(parameter_specs(model.config), model.tensors, source);
  check(recipe || !recipe_name.empty(), ErrorKind::model, "[", source,
        "] expected a recipe in the metadata, the file has none; name one with --recipe (default-2d or default-3d, or "
        "paper-2d or paper-3d for weights of the published training code)");
  const bool volumes = model.config.rank == 3;
  const std::string name = recipe_name != "default" ? recipe_name : std::string(default_recipe(model.config.rank).name);
  if (volumes)
    model.volume_recipe = recipe ? VolumeRecipe::from_json(*recipe, source) : VolumeRecipe::named(name);
  else
    model.recipe = recipe ? Recipe::from_json(*recipe, source) : Recipe::named(name);
  model.classes = class_names(find(file.metadata, "lgms.classes"), model.config, source);
  const std::string* training = find(file.metadata, "lgms.training");
  model.training = training ? *training : "{}";
  return model;
}

}  // namespace

ModelFile load_model(const std::filesystem::path& path, const std::string& recipe_name) {
  return model_of(io::read_safetensors(path), path.string(), recipe_name);
}

ModelFile load_model(std::span<const uint8_t> bytes, const std::string& name, const std::string& recipe_name) {
  return model_of(io::read_safetensors(bytes, name), name, recipe_name);
}

ModelFile load_model(const io::ByteSource& source, const std::string& recipe_name) {
  return load_model(io::read_source(source, ErrorKind::model), source.name, recipe_name);
}

void save_model(const std::filesystem::path& path, const ModelFile& model) {
  io::write_safetensors(
      path, model.tensors,
      {{"lgms.format", std::to_string(kFormat)},
       {"lgms.config", model.config.to_json()},
       {"lgms.recipe", model.config.rank == 2 ? model.recipe.to_json() : model.volume_recipe.to_json()},
       {"lgms.classes", io::Json(model.classes).dump()},
       {"lgms.training", model.training}});
}

}  // namespace lgms
