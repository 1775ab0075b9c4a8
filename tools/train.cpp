// lgmsnet train: from a folder of images and masks to a model, with everything a run leaves behind.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

#include "autograd/ops.h"
#include "core/error.h"
#include "core/io/bytes.h"
#include "core/io/image.h"
#include "core/io/output_file.h"
#include "lgmsnet/lgmsnet.h"
#include "lgmsnet/model_file.h"
#include "nn/curves.h"
#include "nn/data/augment.h"
#include "nn/metrics.h"
#include "nn/schedule.h"
#include "nn/trainer.h"
#include "tools/overlay.h"
#include "tools/session.h"
#include "tools/status_line.h"
#include "tools/verbs.h"

namespace lgms::tools {
namespace {

using nlohmann::ordered_json;
namespace fs = std::filesystem;

struct Arguments {
  std::string data, train_list = "train.txt", val_list = "val.txt", recipe = "default-2d", init, out;
  int64_t size = 256, epochs = 0, batch = 0, cache_mb = 2048;
  int mask_threshold = 127;
  double rate = 0.02;
  uint64_t seed = 0;
  bool resume = false, allow_drift = false;
  std::string network;               // JSON: of the run that goes on; else empty
  std::vector<std::string> classes;  // names: given, or of the run that goes on
  Machine machine;
  CLI::App* app = nullptr;
};

// What a run is, by the names of the options that choose it: kept in config.json and in the checkpoint.
nn::Settings settings_of(const Arguments& a, const std::vector<std::string>& train,
                         const std::vector<std::string>& val) {
  const auto list = [](const std::vector<std::string>& stems) {
    return text(stems.size(), " names, hash ", nn::hash_of(stems));
  };
  return {{"recipe", a.recipe},
          {"size", std::to_string(a.size)},
          {"mask-threshold", std::to_string(a.mask_threshold)},
          {"epochs", std::to_string(a.epochs)},
          {"batch", std::to_string(a.batch)},
          {"lr", nn::exact_text(a.rate)},
          {"seed", std::to_string(a.seed)},
          {"init", a.init},
          {"train-list", list(train)},
          {"val-list", list(val)}};
}

// On resume, options that were not given are those of the run.
void recall(Arguments& a, const fs::path& config) {
  const io::Bytes bytes = io::read_file(config);
  const auto run = nlohmann::json::parse(bytes.begin(), bytes.end(), nullptr, false);
  check(run.is_object() && run.contains("arguments"), ErrorKind::data, "[", config.string(),
        "] expected the configuration of a run, got something else");
  const auto take = [&](const char* name, auto& value) {
    if (a.app->count(std::string("--") + name) > 0 || !run["arguments"].contains(name)) return;
    try {
      run["arguments"][name].get_to(value);
    } catch (const nlohmann::json::exception&) {
      fail(ErrorKind::data, "[", config.string(), "] ", name, ": expected another type, got ",
           run["arguments"][name].dump());
    }
  };
  take("train-list", a.train_list);
  take("val-list", a.val_list);
  take("recipe", a.recipe);
  take("size", a.size);
  take("mask-threshold", a.mask_threshold);
  take("epochs", a.epochs);
  take("batch", a.batch);
  take("lr", a.rate);
  take("seed", a.seed);
  take("init", a.init);
  if (!fs::exists(config.parent_path() / "last.safetensors")) return;
  check(run.contains("network") && run.contains("classes") && run["classes"].is_array(), ErrorKind::data, "[",
        config.string(), "] expected the network and classes of the run");
  a.network = run["network"].dump();
  if (a.app->count("--classes") > 0) return;
  for (const auto& name : run["classes"]) a.classes.push_back(name.is_string() ? name.get<std::string>() : name.dump());
}

// Paths may hold bytes that are not UTF-8; JSON may not.
std::string printed(const ordered_json& json, int indent) {
  return json.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

int64_t class_folders(const fs::path& data) {
  int64_t k = 0;
  std::error_code ignored;
  while (fs::is_directory(data / "masks" / std::to_string(k), ignored)) ++k;
  check(k > 0, ErrorKind::data, "[", (data / "masks" / "0").string(),
        "] no such folder: expected the masks of the first class");
  return k;
}

std::string percent(double share) { return text(static_cast<int>(share * 100 + 0.5), " %"); }
std::string fixed(double value, int digits) {
  char line[32];
  std::snprintf(line, sizeof line, "%.*f", digits, value);
  return line;
}

// One run: what it trains and what it leaves in its folder.
class Run {
 public:
  explicit Run(Arguments arguments);
  void operator()();

 private:
  std::string best_by() const { return a_.recipe == "paper-2d" ? "val_iou" : "val_dice"; }
  ModelFile initial_model() const;
  nn::Input prepare(const nn::Example& example, Rng* rng) const;
  nn::NamedScores validate();
  void write_config(const nn::Settings& settings) const;
  void on_step(const nn::StepReport& r);
  void on_epoch(const nn::Table& metrics, bool best);
  void write_curves(const nn::Table& metrics) const;
  void write_overlays() const;
  void check_data();
  void warn_of_overlap();

  Arguments a_;
  fs::path out_;
  Recipe recipe_;
  nn::ImageFolder folder_;
  nn::Dataset train_, val_;
  ModelFile model_;
  LGMSNet net_;
  nn::Optimizer optimizer_;
  nn::Forward forward_;
  StatusLine status_;
};

Recipe recipe_of(const Arguments& a) {
  Recipe recipe = Recipe::named(a.recipe);
  recipe.size = {a.size, a.size};
  recipe.mask_threshold = a.mask_threshold;
  return recipe;
}

nn::Dataset dataset_of(const Arguments& a, const nn::ImageFolder& folder, const std::string& list) {
  std::vector<std::string> stems = nn::read_list(fs::path(a.data) / list);  // an absolute list replaces the folder
  folder.require(stems);
  return {std::move(stems), [folder](const std::string& stem) { return folder.read(stem); }, (a.cache_mb << 20) / 2};
}

Run::Run(Arguments arguments)
    : a_(std::move(arguments)),
      out_(a_.out),
      recipe_(recipe_of(a_)),
      folder_{a_.data, class_folders(a_.data), a_.mask_threshold},
      train_(dataset_of(a_, folder_, a_.train_list)),
      val_(dataset_of(a_, folder_, a_.val_list)),
      model_(initial_model()),
      net_(model_.config, a_.seed),
      optimizer_(net_.store(), kernels::Sgd{.rate = 0, .momentum = 0.9, .weight_decay = 1e-4}),
      forward_([this](const Tensor& x, bool training) { return net_.forward(x, training); }) {
  if (!model_.tensors.empty()) net_.store().load(model_.tensors, a_.init);
}

// The network to start from: that of the run that goes on, that of --init with its weights, or the default one.
ModelFile Run::initial_model() const {
  ModelFile model;
  std::string source = "config.json";
  if (!a_.network.empty()) {
    model.config = Config::from_json(a_.network, source);
  } else if (!a_.init.empty()) {
    model = load_model(a_.init, a_.recipe);
    source = a_.init;
  } else {
    model.config.classes = folder_.classes;
    for (int64_t k = 0; k < folder_.classes; ++k) model.classes.push_back("class " + std::to_string(k));
  }
  check(model.config.rank == 2 && model.config.classes == folder_.classes, ErrorKind::model, "[", source,
        "] expected a 2D network of ", folder_.classes, " classes, as ", (folder_.root / "masks").string(),
        " has, got rank ", model.config.rank, ", classes ", model.config.classes);
  if (!a_.classes.empty()) model.classes = a_.classes;
  check(std::ssize(model.classes) == folder_.classes, ErrorKind::usage, "[train] --classes: expected ", folder_.classes,
        " name(s), one per folder in ", (folder_.root / "masks").string(), ", got ", model.classes.size());
  model.recipe = recipe_;
  return model;
}

void Run::operator()() {
  const nn::Settings settings = settings_of(a_, train_.stems(), val_.stems());
  nn::Task task{net_.store(), optimizer_,
                train_,       [this](const nn::Example& e, Rng* rng) { return prepare(e, rng); },
                forward_,     autograd::bce_dice_loss,
                {},           [this] { return validate(); }};
  const int64_t steps = a_.epochs * nn::batches_of(train_.size(), a_.batch);
  task.rate = [this, steps](int64_t step) { return nn::poly_rate(a_.rate, step, steps); };
  nn::Trainer trainer(std::move(task), {.epochs = a_.epochs,
                                        .batch = a_.batch,
                                        .seed = a_.seed,
                                        .folder = out_,
                                        .best_by = best_by(),
                                        .settings = settings,
                                        .allow_drift = a_.allow_drift});
  trainer.on_step = [this](const nn::StepReport& r) { on_step(r); };
  trainer.on_epoch = [this](const nn::Table& metrics, bool best) { on_epoch(metrics, best); };

  io::ensure_directory(out_);
  const bool saved = fs::exists(trainer.checkpoint_path());
  check(a_.resume || !saved, ErrorKind::usage, "[", out_.string(),
        "] already holds a run; --resume goes on with it, another --out starts a new one");
  if (saved) trainer.resume();
  write_config(settings);
  check_data();
  warn_of_overlap();
  status_.print(text(saved ? "resuming after step " : "training from step ", trainer.progress().step, " of ", steps,
                     ": ", train_.size(), " images, ", val_.size(), " for validation, ", folder_.classes,
                     " class(es), ", net_.store().trained_elements(), " parameters, ",
                     name_of(Context::current().isa()), ", ", Context::current().threads(), " thread(s)"));
  trainer.run();
  status_.clear();
  const nn::Progress& done = trainer.progress();
  std::cout << "best epoch " << done.best_epoch << " of " << done.epoch << ": " << best_by() << " "
            << fixed(done.best, 4) << '\n'
            << (out_ / "model.safetensors").string() << '\n';
}

// Reads everything once: a bad file ends a run now and not in an hour; what fits stays in memory.
void Run::check_data() {
  for (const nn::Dataset* data : {&train_, &val_})
    for (int64_t i = 0; i < data->size(); ++i) {
      check(!Context::current().stop().requested(), ErrorKind::interrupted, "[train] stopped before the first step");
      data->example(i);
      status_.show(text("reading images: ", i + 1, " of ", data->size()));
    }
}

void Run::warn_of_overlap() {
  const std::set<std::string> trained(train_.stems().begin(), train_.stems().end());
  const auto both = std::count_if(val_.stems().begin(), val_.stems().end(),
                                  [&](const std::string& stem) { return trained.contains(stem); });
  if (both > 0) status_.print(text("warning: ", both, " names stand in both lists; validation will look too good"));
}

nn::Input Run::prepare(const nn::Example& example, Rng* rng) const {
  if (rng == nullptr) return {make_input(recipe_, example.image), make_target(recipe_, example.masks)};
  const nn::RotateFlip move = nn::RotateFlip::draw(*rng);
  return {make_input(recipe_, move(example.image)), make_target(recipe_, move(example.masks))};
}

nn::NamedScores Run::validate() {
  return nn::validate_masks(
      forward_, autograd::bce_dice_loss, val_, [this](const nn::Example& e, Rng* rng) { return prepare(e, rng); },
      a_.batch,
      [this](int64_t done, int64_t batches) { status_.show(text("validating: batch ", done, " of ", batches)); });
}

void Run::write_config(const nn::Settings& settings) const {
  ordered_json config;
  config["lgmsnet"] = LGMS_VERSION;
  config["arguments"] = {{"data", a_.data},         {"train-list", a_.train_list},
                         {"val-list", a_.val_list}, {"recipe", a_.recipe},
                         {"size", a_.size},         {"mask-threshold", a_.mask_threshold},
                         {"epochs", a_.epochs},     {"batch", a_.batch},
                         {"lr", a_.rate},           {"seed", a_.seed},
                         {"init", a_.init}};
  config["classes"] = model_.classes;
  config["network"] = ordered_json::parse(model_.config.to_json());
  config["recipe"] = ordered_json::parse(recipe_.to_json());
  config["optimizer"] = {{"name", "sgd"}, {"momentum", 0.9}, {"weight_decay", 1e-4}, {"schedule", "poly 0.9"}};
  for (const auto& [name, value] : settings)
    if (name.ends_with("-list")) config["lists"][name] = value;
  config["isa"] = name_of(Context::current().isa());
  io::write_file(out_ / "config.json", printed(config, 2) + "\n");
}

void Run::on_step(const nn::StepReport& r) {
  const double done = static_cast<double>(r.batch) / static_cast<double>(r.batches);
  status_.show(text("epoch ", r.epoch, "/", r.epochs, " ", status_.terminal() ? bar(done, 20) + " " : "", r.batch, "/",
                    r.batches, "  loss ", fixed(r.loss, 4), "  ", fixed(r.images_per_second, 1), " images/s  waiting ",
                    percent(r.waiting), "  ", duration(r.seconds_left), " left"));
}

void Run::on_epoch(const nn::Table& metrics, bool best) {
  std::string line = text("epoch ", metrics.rows.size(), "/", a_.epochs);
  for (const char* name : {"loss", "val_loss", "val_dice", "val_iou"})
    line += text("  ", name, " ", fixed(metrics.column(name).back(), 4));
  if (best) {
    model_.tensors = net_.store().tensors();
    const ordered_json training{{"data", fs::path(a_.data).lexically_normal().filename().string()},
                                {"images", train_.size()},
                                {"epochs", a_.epochs},
                                {"epoch", metrics.rows.size()},
                                {"batch", a_.batch},
                                {"lr", a_.rate},
                                {"seed", a_.seed},
                                {"init", fs::path(a_.init).filename().string()},
                                {"val_dice", metrics.column("val_dice").back()},
                                {"val_iou", metrics.column("val_iou").back()},
                                {"lgmsnet", LGMS_VERSION},
                                {"commit", LGMS_COMMIT}};
    model_.training = printed(training, -1);
    save_model(out_ / "model.safetensors", model_);
    write_overlays();
    line += "  best";
  }
  write_curves(metrics);
  status_.print(line);
}

void Run::write_curves(const nn::Table& metrics) const {
  const std::vector<double> epochs = metrics.column("epoch");
  const auto series = [&](const char* name, const char* column) {
    return nn::Series{name, epochs, metrics.column(column)};
  };
  io::write_file(out_ / "loss.svg",
                 nn::svg({"Loss", "epoch", {series("training", "loss"), series("validation", "val_loss")}}));
  io::write_file(out_ / "dice.svg",
                 nn::svg({"Validation scores", "epoch", {series("Dice", "val_dice"), series("IoU", "val_iou")}}));
}

// Up to four validation images, evenly spread: the prediction tinted, the truth's edge in green.
void Run::write_overlays() const {
  const autograd::NoGrad no_grad;
  io::ensure_directory(out_ / "overlays");
  const int64_t count = std::min<int64_t>(4, val_.size());
  for (int64_t n = 0; n < count; ++n) {
    const nn::Example e = val_.example(n * val_.size() / count);
    const Tensor x = make_input(recipe_, e.image);
    const Tensor logits =
        net_.forward(x.reshaped({1, x.shape()[0], x.shape()[1], x.shape()[2], x.shape()[3]}), false).value();
    const Tensor masks =
        masks_from(probabilities_at(logits, e.image.shape()[0], e.image.shape()[1]), recipe_.threshold);
    const Tensor truth = masks_from(e.masks.to(DType::f32), recipe_.mask_threshold);
    std::string name = e.stem;
    std::replace(name.begin(), name.end(), '/', '_');
    io::write_png(out_ / "overlays" / (name + ".png"), overlay(e.image, masks, truth));
  }
}

void train(Arguments a) {
  const Session session(a.machine);
  const fs::path config = fs::path(a.out) / "config.json";
  if (a.resume) {
    check(fs::exists(config), ErrorKind::usage, "[", a.out,
          "] --resume: expected the folder of a run, found no config.json; leave --resume out to start one");
    recall(a, config);
  }
  check(a.size % 32 == 0, ErrorKind::usage, "[train] --size: expected a multiple of 32, got ", a.size);
  const bool paper = a.recipe == "paper-2d";
  if (a.epochs == 0) a.epochs = paper ? 500 : 100;
  if (a.batch == 0) a.batch = paper ? 16 : 8;
  Run run(std::move(a));
  run();
}

}  // namespace

void add_train(CLI::App& program) {
  CLI::App* app = program.add_subcommand("train", "Train a 2D model on images and masks");
  auto a = std::make_shared<Arguments>();
  a->app = app;
  app->add_option("--data", a->data, "Folder of images/STEM.png and masks/K/STEM.png for the classes K = 0, 1, ...")
      ->required();
  app->add_option("--train-list", a->train_list, "List of stems, relative to --data unless absolute")
      ->capture_default_str();
  app->add_option("--val-list", a->val_list, "List of stems to choose the best epoch by")->capture_default_str();
  app->add_option("--recipe", a->recipe, "default-2d or paper-2d")
      ->check(CLI::IsMember({"default-2d", "paper-2d"}))
      ->capture_default_str();
  app->add_option("--size", a->size, "Side of the network's input, a multiple of 32")
      ->check(CLI::Range(32, 4096))
      ->capture_default_str();
  app->add_option("--epochs", a->epochs, "Default 100; paper-2d: 500")->check(CLI::Range(1, 1000000));
  app->add_option("--batch", a->batch, "Images per step; default 8, paper-2d: 16")->check(CLI::Range(1, 4096));
  app->add_option("--lr", a->rate, "Base learning rate")->check(CLI::Range(1e-12, 1e3))->capture_default_str();
  app->add_option("--classes", a->classes, "Names of the classes; default: class 0, class 1, ...")->delimiter(',');
  app->add_option("--seed", a->seed, "Of weights, order and augmentation")->capture_default_str();
  app->add_option("--init", a->init, "Weights to start from: a model.safetensors");
  app->add_option("--mask-threshold", a->mask_threshold, "A mask is foreground above this value, 0 to 254")
      ->check(CLI::Range(0, 254))
      ->capture_default_str();
  app->add_option("--cache-mb", a->cache_mb, "Decoded images kept in memory, at most")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  app->add_flag("--resume", a->resume, "Go on with the run in --out");
  app->add_flag("--allow-drift", a->allow_drift,
                "Resume although the instruction set is another one: last bits will differ");
  app->add_option("--out", a->out, "Folder of the run")->required();
  add_machine(*app, a->machine);
  app->callback([a] { train(*a); });
}

}  // namespace lgms::tools
