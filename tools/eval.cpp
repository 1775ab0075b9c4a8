// lgmsnet eval: scores of a model on labelled images. Volumes: eval_volumes.cpp.
#include "tools/eval.h"

#include <iomanip>
#include <iostream>
#include <memory>

#include "core/error.h"
#include "core/io/json.h"
#include "lgmsnet/predictor.h"
#include "lgmsnet/recipe_names.h"
#include "lgmsnet/training/picture_report.h"
#include "nn/data/dataset.h"
#include "nn/data/list.h"
#include "tools/printing.h"
#include "tools/status_line.h"
#include "tools/verbs.h"

namespace lgms::tools {
namespace {

using io::Json;
namespace fs = std::filesystem;

void print(const Json& report) {
  std::cout << report.find("images")->size() << " images, "
            << (report.find("grid")->string() == "network" ? "on the network's grid" : "at their own size")
            << ", threshold " << report.find("threshold")->number() << std::fixed << std::setprecision(4) << '\n';
  for (const auto& [name, value] : report.find("mean")->members())
    std::cout << std::left << std::setw(11) << name << value.number() << '\n';
  if (report.find("classes")->size() > 1)
    for (const auto& [name, scores] : report.find("classes")->members())
      std::cout << printable(name) << ": dice " << scores.find("dice")->number() << ", iou "
                << scores.find("iou")->number() << '\n';
}

void eval_pictures(const EvalArguments& a, ModelFile file) {
  Session session(a.machine);
  if (a.threshold >= 0) file.recipe.threshold = a.threshold;
  const Predictor predictor(std::move(file), a.model);
  const ModelFile& model = predictor.model();
  const int64_t found = nn::mask_classes(a.data);
  check(found == model.config.classes, ErrorKind::data, "[", (fs::path(a.data) / "masks").string(), "] expected ",
        model.config.classes, " class(es), as many as ", a.model, " has, got ", found);
  const nn::ImageFolder folder(a.data, model.config.classes,
                               a.mask_threshold >= 0 ? a.mask_threshold : model.recipe.threshold_of_masks(),
                               a.white >= 0 ? a.white : model.recipe.white);
  const std::vector<std::string> stems =
      nn::read_list(fs::path(a.data) / a.list);  // an absolute list replaces the folder
  folder.require(stems);

  StatusLine status;
  PictureReport scores(model.classes);
  for (const std::string& stem : stems) {
    session.stop_if_asked(text("scored ", scores.size(), " of ", stems.size(), " images"));
    status.show(text("image ", scores.size() + 1, " of ", stems.size()));
    scores.add(stem, count_masks(predictor, folder.read(stem), a.network_size));
  }
  status.clear();

  Json report = scores.means();
  report["grid"] = a.network_size ? "network" : "native";
  report["threshold"] = model.recipe.threshold;
  report["model"] = a.model;
  report["images"] = scores.images();
  if (a.json)
    std::cout << report.dump(2) << '\n';
  else
    print(report);
}

// What each rank knows; anything else that is given is a mistake, not to be passed over.
void eval(const EvalArguments& a, Verb verb) {
  const std::vector<std::string> flat{"--network-size", "--threshold", "--mask-threshold", "--white"},
      solid{"--tolerance", "--empty-policy", "--out", "--worst"};
  check(a.model.empty() != a.predictions.empty(), ErrorKind::usage,
        "[eval] expected either --model or --predictions, got ", a.model.empty() ? "neither" : "both");
  if (!a.predictions.empty()) {
    verb.refuse(flat, "is for pictures");
    verb.refuse({"--precision", "--small"}, "is for --model");
    return eval_label_files(a);
  }
  ModelFile file = load_model(a.model, a.recipe);
  if (file.config.rank == 2) {
    verb.refuse(solid, "is for volumes, the model is 2D; --json prints all scores of pictures");
    return eval_pictures(a, std::move(file));
  }
  verb.refuse(flat, "is for pictures, the model is 3D");
  eval_volume_model(a, std::move(file));
}

}  // namespace

void add_eval(CommandLine& program) {
  const Verb verb = program.add_verb("eval", "Score a model, or label files, against the truth");
  auto a = std::make_shared<EvalArguments>();
  verb.add("-m,--model", a->model, "Model file (safetensors)");
  verb.add("--predictions", a->predictions, "Volumes: score the labels STEM.nii.gz of this folder, no model");
  verb.add("--data", a->data,
           "Folder of images/STEM.png (.jpg, .bmp) and masks/K/STEM.png (.bmp); volumes: of imagesTr and "
           "labelsTr/STEM.nii.gz")
      .required();
  verb.add("--list", a->list, "List of stems, or a datalist (.json), relative to --data unless absolute")
      .shows_default();
  verb.add("--tolerance", a->tolerance, "Volumes: of the surface Dice, mm").range(0.0, 1e6).shows_default();
  verb.add("--empty-policy", a->empty_policy, "Volumes: what a score that is 0 / 0 counts as")
      .one_of({"exclude", "one", "zero"})
      .shows_default();
  verb.add("--out", a->out, "Volumes: folder for summary.json, per_case.csv and worst/RANK_STEM.png");
  verb.add("--worst", a->worst,
           "Volumes: so many cases, of the lowest foreground Dice, are drawn into --out; those drawn before go")
      .range(0, 1000)
      .shows_default();
  verb.add_flag("--network-size", a->network_size,
                "Score on the grid of the network's input, as the training log does");
  verb.add("--threshold", a->threshold, "Foreground above this probability; default: the model's").range(0.0, 1.0);
  verb.add("--mask-threshold", a->mask_threshold,
           "What of a mask file is above this value, or palette index, is foreground; default: the model's, "
           "else what the file says by itself")
      .range(0, 65534);
  verb.add("--white", a->white,
           "The sample of a picture's file that is white; default: the model's; 0: the largest of its depth")
      .range(0, 65535);
  verb.add("--recipe", a->recipe, "For a model file that has none").one_of(recipe_names());
  verb.add_flag("--json", a->json, "Print JSON, with the scores of every case");
  add_machine(verb, a->machine);
  add_precision(verb, a->machine);
  add_small(verb, a->machine);
  verb.action([a, verb] { eval(*a, verb); });
}

}  // namespace lgms::tools
