// lgmsnet eval: scores of a model on labelled images. Volumes: eval_volumes.cpp.
#include "tools/eval.h"

#include <iomanip>
#include <iostream>
#include <memory>

#include "core/error.h"
#include "core/io/json.h"
#include "lgmsnet/predictor.h"
#include "lgmsnet/recipe.h"
#include "lgmsnet/recipe_names.h"
#include "nn/data/dataset.h"
#include "nn/data/list.h"
#include "nn/data/mask.h"
#include "nn/metrics.h"
#include "tools/inputs.h"
#include "tools/printing.h"
#include "tools/status_line.h"
#include "tools/verbs.h"

namespace lgms::tools {
namespace {

using io::Json;
namespace fs = std::filesystem;

Json to_json(const nn::Scores& s) {
  return Json::object({{"dice", s.dice}, {"iou", s.iou}, {"precision", s.precision}, {"recall", s.recall}});
}
Json to_json(const nn::PaperScores& s) {
  return Json::object(
      {{"iou", s.iou}, {"dice", s.dice}, {"se", s.se}, {"pc", s.pc}, {"sp", s.sp}, {"acc", s.acc}, {"f1", s.f1}});
}

// The mean of every number over equally shaped objects.
Json mean_of(const std::vector<Json>& all) {
  Json mean;
  for (const auto& [key, value] : all.at(0).members()) {
    double sum = 0;
    for (const Json& one : all) sum += one.find(key)->number();
    mean[key] = sum / static_cast<double>(all.size());
  }
  return mean;
}

// The counts of every class of one image: prediction against truth, at the image's own size or on the network's grid.
std::vector<nn::Counts> counts_of(const Predictor& predictor, const nn::Example& example, const EvalArguments& a) {
  Tensor probabilities, truth;
  if (a.network_size) {
    const Tensor logits = predictor.logits(example.image);
    probabilities = probabilities_at(logits, logits.shape()[2], logits.shape()[3]);
    truth = make_target(predictor.model().recipe, example.masks).reshaped(probabilities.shape());
  } else {
    probabilities = predictor.predict(example.image).probabilities;
    truth = masks_from(example.masks.to(DType::f32), nn::kMaskMiddle).to(DType::f32);
  }
  std::vector<nn::Counts> counts;
  for (int64_t k = 0; k < truth.channels(); ++k)
    counts.push_back(nn::count(probabilities, truth, predictor.model().recipe.threshold, k));
  return counts;
}

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
  const size_t classes = static_cast<size_t>(folder.classes());
  std::vector<Json> images, scores, paper;
  std::vector<std::vector<Json>> of_class(classes);
  for (const std::string& stem : stems) {
    session.stop_if_asked(text("scored ", images.size(), " of ", stems.size(), " images"));
    status.show(text("image ", images.size() + 1, " of ", stems.size()));
    const std::vector<nn::Counts> counts = counts_of(predictor, folder.read(stem), a);
    std::vector<Json> here, here_paper;
    for (size_t k = 0; k < classes; ++k) {
      here.push_back(to_json(nn::scores(counts[k])));
      here_paper.push_back(to_json(nn::paper_scores(counts[k])));
      of_class[k].push_back(here[k]);
    }
    scores.push_back(mean_of(here));
    paper.push_back(mean_of(here_paper));
    Json image = Json::object({{"stem", stem}});
    for (const auto& [name, score] : scores.back().members()) image[name] = score;
    if (classes > 1) image["classes"] = here;
    images.push_back(image);
  }
  status.clear();

  Json report = Json::object({{"mean", mean_of(scores)}, {"paper", mean_of(paper)}});
  for (size_t k = 0; k < classes; ++k) report["classes"][model.classes[k]] = mean_of(of_class[k]);
  report["grid"] = a.network_size ? "network" : "native";
  report["threshold"] = model.recipe.threshold;
  report["model"] = a.model;
  report["images"] = images;
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
  verb.action([a, verb] { eval(*a, verb); });
}

}  // namespace lgms::tools
