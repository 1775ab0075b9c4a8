#include <cstdio>
#include <iostream>
#include <memory>

#include "core/error.h"
#include "core/io/json.h"
#include "lgmsnet/model_file.h"
#include "tools/printing.h"
#include "tools/session.h"
#include "tools/verbs.h"

namespace lgms::tools {
namespace {

struct Options {
  Machine machine;
  std::string file;
  bool json = false, tensors = false;
};

void run(const Options& o) {
  const ModelFile model = load_model(o.file, "default");
  int64_t elements = 0, bytes = 0;
  for (const NamedTensor& t : model.tensors) {
    elements += t.tensor.numel();
    bytes += t.tensor.numel() * size_of(t.tensor.dtype());
  }
  const io::ParsedJson training = io::parse_json(model.training);
  const std::string recipe = model.config.rank == 2 ? model.recipe.to_json() : model.volume_recipe.to_json();
  const io::Json all =
      io::Json::object({{"file", o.file},
                        {"tensors", model.tensors.size()},
                        {"elements", elements},
                        {"bytes", bytes},
                        {"config", io::parse_json(model.config.to_json()).value},
                        {"recipe", io::parse_json(recipe).value},
                        {"classes", model.classes},
                        {"training", training.problem.empty() ? training.value : io::Json(model.training)}});
  if (o.json) {
    std::cout << all.dump(1) << '\n';
  } else {
    for (const auto& [key, value] : all.members())
      std::printf("%-10s %s\n", key.c_str(), printable(value.is_string() ? value.string() : value.dump()).c_str());
  }
  if (o.tensors && !o.json)
    for (const NamedTensor& t : model.tensors)
      std::printf("%-64s %-4s %s\n", printable(t.name).c_str(), name_of(t.tensor.dtype()),
                  text(t.tensor.shape()).c_str());
}

}  // namespace

void add_info(CommandLine& program) {
  auto o = std::make_shared<Options>();
  const Verb verb = program.add_verb("info", "What a model file holds: configuration, recipe, classes, training");
  verb.add("file", o->file, "model, .safetensors").required();
  verb.add_flag("--tensors", o->tensors, "list every tensor");
  verb.add_flag("--json", o->json, "print JSON");
  add_threads(verb, o->machine);
  verb.action([o] { run(*o); });
}

}  // namespace lgms::tools
