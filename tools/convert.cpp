#include <cstdio>
#include <filesystem>
#include <memory>

#include "core/error.h"
#include "core/formats/pth.h"
#include "core/io/class_names.h"
#include "lgmsnet/model_file.h"
#include "lgmsnet/names.h"
#include "lgmsnet/recipe_names.h"
#include "lgmsnet/training/lgmsnet.h"
#include "tools/session.h"
#include "tools/verbs.h"

namespace lgms::tools {
namespace {

struct Options {
  Machine machine;
  std::string in, out, recipe;
  std::vector<std::string> classes;
  std::vector<int64_t> size;
  int white = 0;
};

void run(const Options& o) {
  std::error_code absent;
  check(!std::filesystem::equivalent(o.in, o.out, absent), ErrorKind::usage, "[convert] --output: ", o.out,
        " is the checkpoint itself; choose another name");
  ModelFile model;
  model.tensors = with_our_names(io::read_pth(o.in));
  model.config = config_of(model.tensors, o.in);
  check(recipe_named(o.recipe).rank == model.config.rank, ErrorKind::usage, "[convert] --recipe: ", o.in, " holds a ",
        model.config.rank, "D network, got ", o.recipe);
  if (model.config.rank == 2) {
    model.recipe = Recipe::named(o.recipe);
    check(o.size.size() <= 2, ErrorKind::usage, "[convert] --size: expected at most two sides for a 2D network, got ",
          o.size.size());
    if (!o.size.empty()) model.recipe.size = {o.size.front(), o.size.back()};
    model.recipe.white = o.white;
  } else {
    check(o.white == 0, ErrorKind::usage, "[convert] --white is for 2D models, this one is 3D");
    for (const int64_t side : o.size)
      check(side <= 4096, ErrorKind::usage, "[convert] --size: expected at most 4096 for a 3D network, got ", side);
    model.volume_recipe = VolumeRecipe::named(o.recipe);
    if (!o.size.empty()) model.volume_recipe.patch = {o.size.front(), o.size[o.size.size() / 2], o.size.back()};
  }
  model.classes = o.classes;
  for (int64_t k = static_cast<int64_t>(o.classes.size()); k < model.config.classes; ++k)
    model.classes.push_back("class " + std::to_string(k));
  check(static_cast<int64_t>(model.classes.size()) == model.config.classes, ErrorKind::usage,
        "[convert] --classes: expected at most ", model.config.classes, " names, got ", model.classes.size());
  io::check_class_names(model.classes, ErrorKind::usage, "[convert] --classes");
  const LGMSNet net(model.config, model.tensors, o.in);  // every tensor is there, fits, and is finite
  model.tensors = net.store().tensors();
  model.training = "{}";
  save_model(o.out, model);
  std::printf("%s: %zu tensors, %ld trained parameters, config %s, recipe %s\n", o.out.c_str(), model.tensors.size(),
              static_cast<long>(net.store().trained_elements()), model.config.to_json().c_str(), o.recipe.c_str());
}

}  // namespace

void add_convert(CommandLine& program) {
  auto o = std::make_shared<Options>();
  const Verb verb = program.add_verb(
      "convert", "PyTorch checkpoint (.pth, zip format) to a model file; nothing in the checkpoint is executed");
  verb.add("in", o->in, "checkpoint, .pth").required();
  verb.add("-o,--output", o->out, "model to write, .safetensors").required();
  verb.add("--recipe", o->recipe,
           "paper-2d, paper-3d (weights of the published training code), default-2d or default-3d")
      .one_of(recipe_names())
      .required();
  verb.add("--size", o->size,
           "side of the network's input, or height and width (default 256); 3D: depth, height and width of the "
           "patch (default 96)")
      .values(1, 3)
      .multiples_of(32, 16384);
  verb.add("--white", o->white,
           "2D: the sample of a picture's file that is white; default: the largest of its depth, 255 or 65535")
      .range(1, 65535);
  verb.add("--classes", o->classes, "names of the classes");
  add_threads(verb, o->machine);
  verb.action([o] { run(*o); });
}

}  // namespace lgms::tools
