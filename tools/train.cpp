// lgmsnet train: from a folder of pictures or volumes to a model, with everything a run leaves behind.
#include "tools/train.h"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <set>

#include "core/error.h"
#include "core/io/bytes.h"
#include "core/io/files.h"
#include "core/io/json.h"
#include "core/io/output_file.h"
#include "nn/curves.h"
#include "tools/inputs.h"
#include "tools/printing.h"
#include "tools/status_line.h"
#include "tools/verbs.h"

namespace lgms::tools {
namespace {

using io::Json;
namespace fs = std::filesystem;

// Every option that is part of what a run is, by its name: config.json keeps them, --resume recalls them.
template <class Arguments, class Visit>
void for_each_argument(Arguments& a, const Visit& visit) {
  visit("train-list", a.train_list);
  visit("val-list", a.val_list);
  visit("recipe", a.recipe);
  visit("network", a.network);
  visit("size", a.size);
  visit("mask-threshold", a.mask_threshold);
  visit("patch", a.patch);
  visit("spacing", a.spacing);
  visit("crops", a.crops);
  visit("epochs", a.epochs);
  visit("batch", a.batch);
  visit("accumulate", a.accumulate);
  visit("val-every", a.validate_every);
  visit("lr", a.rate);
  visit("seed", a.seed);
  visit("init", a.init);
  visit("checkpointing", a.checkpointing);
}

// What must not change when a run goes on, by the names of the options that choose it; kept in the checkpoint.
nn::Settings settings_of(const TrainArguments& a, const Study& study) {
  const auto list = [](const std::vector<std::string>& stems) {
    return text(stems.size(), " names, hash ", nn::hash_of(stems));
  };
  nn::Settings settings{{"recipe", a.recipe},
                        {"network", study.model.config.to_json()},
                        {"epochs", std::to_string(a.epochs)},
                        {"batch", std::to_string(a.batch)},
                        {"accumulate", std::to_string(a.accumulate)},
                        {"val-every", std::to_string(a.validate_every)},
                        {"lr", nn::exact_text(a.rate)},
                        {"seed", std::to_string(a.seed)},
                        {"init", a.init},
                        {"train-list", list(study.train.stems())},
                        {"val-list", list(study.val.stems())}};
  settings.insert(settings.end(), study.settings.begin(), study.settings.end());
  return settings;
}

// The value of an option as config.json has it; false where it is of another type.
bool take(const Json& json, bool& value) { return value = json.boolean(), json.is_boolean(); }
bool take(const Json& json, std::string& value) { return value = json.string(), json.is_string(); }
template <class T>
std::enable_if_t<std::is_integral_v<T>, bool> take(const Json& json, T& value) {
  value = static_cast<T>(json.integer());
  return json.is_integer() &&
         (std::is_same_v<T, uint64_t> ? json.fits_uint64() : json.integer() == static_cast<int64_t>(value));
}
bool take(const Json& json, double& value) { return value = json.number(), json.is_number(); }
template <class T>
bool take(const Json& json, std::vector<T>& values) {
  values.clear();
  for (const Json& item : json.items())
    if (!take(item, values.emplace_back())) return false;
  return json.is_array();
}

// On resume, options that were not given are those of the run.
void recall(TrainArguments& a, const fs::path& config) {
  const auto [run, problem] = io::parse_json(io::read_text(config));
  const Json* arguments = run.find("arguments");
  check(arguments != nullptr && arguments->is_object(), ErrorKind::data, "[", config.string(),
        "] expected the configuration of a run, got ", problem.empty() ? "something else" : problem);
  for_each_argument(a, [&, &run = run](const char* name, auto& value) {
    const Json* saved = arguments->find(name);
    if (a.app->count(std::string("--") + name) > 0 || saved == nullptr) return;
    check(take(*saved, value), ErrorKind::data, "[", config.string(), "] ", name, ": expected another type, got ",
          saved->dump());
  });
  if (!io::is_file(config.parent_path() / "last.safetensors")) return;
  const Json *network = run.find("network"), *classes = run.find("classes");
  check(network != nullptr && classes != nullptr && classes->is_array(), ErrorKind::data, "[", config.string(),
        "] expected the network and classes of the run");
  a.run_network = network->dump();
  if (a.app->count("--classes") > 0) return;
  for (const Json& name : classes->items()) a.classes.push_back(name.is_string() ? name.string() : name.dump());
}

std::string percent(double share) { return text(static_cast<int>(share * 100 + 0.5), " %"); }

// One run: what it trains and what it leaves in its folder.
class Run {
 public:
  explicit Run(TrainArguments arguments);
  void operator()();

 private:
  void write_config(const nn::Settings& settings) const;
  void on_step(const nn::StepReport& r);
  void on_epoch(const nn::Table& metrics, bool best);
  void write_curves(const nn::Table& metrics) const;
  void check_data();
  void warn_of_overlap();

  TrainArguments a_;
  fs::path out_;
  std::unique_ptr<Study> study_;
  LGMSNet net_;
  nn::Optimizer optimizer_;
  StatusLine status_;
};

Run::Run(TrainArguments arguments)
    : a_(std::move(arguments)),
      out_(a_.out),
      study_(a_.volumes() ? volume_study(a_) : picture_study(a_)),
      net_(study_->model.config, a_.seed),
      optimizer_(net_.store(), study_->optimizer) {
  if (!study_->model.tensors.empty()) net_.store().load(study_->model.tensors, a_.init);
}

void Run::operator()() {
  const nn::Settings settings = settings_of(a_, *study_);
  const auto validate = [this] {
    return study_->validate(
        net_, [this](int64_t done, int64_t all) { status_.show(text("validating: ", done, " of ", all)); });
  };
  nn::Task task{
      net_.store(),
      optimizer_,
      study_->train,
      [this](const nn::Example& e, Rng* rng) { return study_->prepare(e, rng); },
      [this](const Tensor& x, bool training) { return net_.forward(x, training, {}, a_.checkpointing && training); },
      study_->loss,
      {},
      validate};
  const int64_t batches = nn::batches_of(study_->train.size() * a_.crops, a_.batch), steps = a_.epochs * batches;
  task.rate = [this, batches](int64_t step) { return study_->rate(step, batches); };
  nn::Trainer trainer(std::move(task), {.epochs = a_.epochs,
                                        .batch = a_.batch,
                                        .crops = a_.crops,
                                        .accumulate = a_.accumulate,
                                        .validate_every = a_.validate_every,
                                        .seed = a_.seed,
                                        .folder = out_,
                                        .best_by = study_->best_by,
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
                     ": ", study_->train.size(), " ", study_->unit, ", ", study_->val.size(), " for validation, ",
                     study_->model.config.classes, " class(es), ", net_.store().trained_elements(), " parameters, ",
                     name_of(Context::current().isa()), ", ", Context::current().threads(), " thread(s)"));
  trainer.run();
  status_.clear();
  const nn::Progress& done = trainer.progress();
  std::cout << "best epoch " << done.best_epoch << " of " << done.epoch << ": " << study_->best_by << " "
            << fixed(done.best, 4) << '\n'
            << (out_ / "model.safetensors").string() << '\n';
}

// Reads everything once: a bad file ends a run now and not in an hour; what fits stays in memory.
void Run::check_data() {
  for (const nn::Dataset* data : {&study_->train, &study_->val})
    for (int64_t i = 0; i < data->size(); ++i) {
      check(!Context::current().stop().requested(), ErrorKind::interrupted, "[train] stopped before the first step");
      data->example(i);
      status_.show(text("reading ", study_->unit, ": ", i + 1, " of ", data->size()));
    }
}

void Run::warn_of_overlap() {
  const std::set<std::string> trained(study_->train.stems().begin(), study_->train.stems().end());
  const auto both = std::count_if(study_->val.stems().begin(), study_->val.stems().end(),
                                  [&](const std::string& stem) { return trained.contains(stem); });
  if (both > 0) status_.print(text("warning: ", both, " names stand in both lists; validation will look too good"));
}

void Run::write_config(const nn::Settings& settings) const {
  Json config;
  config["lgmsnet"] = LGMS_VERSION;
  config["arguments"]["data"] = a_.data;
  for_each_argument(a_, [&](const char* name, const auto& value) { config["arguments"][name] = value; });
  const ModelFile& model = study_->model;
  config["classes"] = model.classes;
  config["network"] = io::parse_json(model.config.to_json()).value;
  config["recipe"] = io::parse_json(a_.volumes() ? model.volume_recipe.to_json() : model.recipe.to_json()).value;
  config["optimizer"] = study_->optimizer_notes;
  for (const auto& [name, value] : settings)
    if (name.ends_with("-list")) config["lists"][name] = value;
  config["isa"] = name_of(Context::current().isa());
  io::write_file(out_ / "config.json", config.dump(2) + "\n");
}

void Run::on_step(const nn::StepReport& r) {
  const double done = static_cast<double>(r.batch) / static_cast<double>(r.batches);
  status_.show(text("epoch ", r.epoch, "/", r.epochs, " ", r.batch, "/", r.batches, "  loss ", fixed(r.loss, 4), "  ",
                    fixed(r.images_per_second, 1), a_.volumes() ? " patches/s  waiting " : " images/s  waiting ",
                    percent(r.waiting), "  ", duration(r.seconds_left), " left"),
               done);
}

void Run::on_epoch(const nn::Table& metrics, bool best) {
  const auto epoch = static_cast<int64_t>(metrics.column("epoch").back());
  std::string line = text("epoch ", epoch, "/", a_.epochs);
  for (size_t c = 3; c < metrics.columns.size(); ++c)
    line += text("  ", metrics.columns[c], " ", fixed(metrics.rows.back()[c], 4));
  if (best) {
    ModelFile& model = study_->model;
    model.tensors = net_.store().tensors();
    Json training = Json::object({{"data", fs::path(a_.data).lexically_normal().filename().string()},
                                  {study_->unit, study_->train.size()},
                                  {"epochs", a_.epochs},
                                  {"epoch", epoch},
                                  {"batch", a_.batch},
                                  {"lr", a_.rate},
                                  {"seed", a_.seed},
                                  {"init", fs::path(a_.init).filename().string()}});
    for (size_t c = 4; c < metrics.columns.size(); ++c) training[metrics.columns[c]] = metrics.rows.back()[c];
    training["lgmsnet"] = LGMS_VERSION;
    training["commit"] = LGMS_COMMIT;
    model.training = training.dump();
    save_model(out_ / "model.safetensors", model);
    line += "  best";
  }
  write_curves(metrics);
  status_.print(line);
  if (!best) return;
  io::ensure_directory(out_ / "overlays");  // last: it takes a moment, and may be interrupted
  study_->write_pictures(net_, out_ / "overlays");
}

void Run::write_curves(const nn::Table& metrics) const {
  const std::vector<double> epochs = metrics.column("epoch");
  nn::Chart losses{"Loss", "epoch", {}}, scores{"Validation scores", "epoch", {}};
  for (size_t c = 3; c < metrics.columns.size(); ++c) {
    const std::string& name = metrics.columns[c];
    const nn::Series series{name == "loss"       ? "training"
                            : name == "val_loss" ? "validation"
                                                 : name,
                            epochs, metrics.column(name)};
    nn::Chart& chart = name.ends_with("loss") ? losses : scores;
    if (chart.series.size() < 6) chart.series.push_back(series);
  }
  io::write_file(out_ / "loss.svg", nn::svg(losses));
  io::write_file(out_ / "dice.svg", nn::svg(scores));
}

// default-3d where the data looks like volumes: nnU-Net's folders, or a datalist.
std::string recipe_for(const TrainArguments& a) {
  const bool volumes = fs::is_directory(fs::path(a.data) / "imagesTr") || fs::path(a.train_list).extension() == ".json";
  return volumes ? "default-3d" : "default-2d";
}

void train(TrainArguments a) {
  const Session session(a.machine);
  const fs::path config = fs::path(a.out) / "config.json";
  if (a.resume) {
    check(fs::exists(config), ErrorKind::usage, "[", a.out,
          "] --resume: expected the folder of a run, found no config.json; leave --resume out to start one");
    recall(a, config);
  }
  if (a.recipe.empty()) a.recipe = recipe_for(a);
  const bool paper = a.recipe.starts_with("paper");
  if (a.volumes()) {
    refuse_options(*a.app, {"--size", "--mask-threshold"}, "is for pictures, not for " + a.recipe);
    if (a.crops == 0) a.crops = paper ? 4 : 1;
    if (a.epochs == 0) a.epochs = paper ? 5000 : 100;
    if (a.batch == 0) a.batch = paper ? 4 : 2;
    if (a.rate == 0) a.rate = 1e-3;
  } else {
    refuse_options(*a.app, {"--patch", "--spacing", "--crops"}, "is for volumes, not for " + a.recipe);
    check(a.size % 32 == 0, ErrorKind::usage, "[train] --size: expected a multiple of 32, got ", a.size);
    a.crops = 1;
    if (a.epochs == 0) a.epochs = paper ? 500 : 100;
    if (a.batch == 0) a.batch = paper ? 16 : 8;
    if (a.rate == 0) a.rate = 0.02;
  }
  Run run(std::move(a));
  run();
}

}  // namespace

ModelFile initial_model(const TrainArguments& a, const std::string& standard, int64_t classes,
                        std::vector<std::string> names) {
  ModelFile model;
  std::string source = "config.json";
  if (!a.run_network.empty() && a.app->count("--network") == 0) {
    model.config = Config::from_json(a.run_network, source);
    model.classes = names;
  } else if (!a.init.empty()) {
    model = load_model(a.init, a.recipe);
    source = a.init;
  } else {
    source = a.network.empty() ? standard : a.network;
    if (fs::path(source).extension() == ".json") {
      const io::Bytes bytes = io::read_file(source);
      model.config = Config::from_json({bytes.begin(), bytes.end()}, source);
    } else {
      model.config = Config::named(source);
      model.config.classes = classes;
    }
    model.classes = std::move(names);
  }
  const int rank = a.volumes() ? 3 : 2;
  check(model.config.rank == rank && model.config.classes == classes, ErrorKind::model, "[", source, "] expected a ",
        rank, "D network of ", classes, " classes, as the data in ", a.data, " has, got rank ", model.config.rank,
        ", classes ", model.config.classes);
  if (!a.classes.empty()) model.classes = a.classes;
  check(std::ssize(model.classes) == classes, ErrorKind::usage, "[train] --classes: expected ", classes,
        " name(s), as many as the data has classes, got ", model.classes.size());
  return model;
}

void add_train(CLI::App& program) {
  CLI::App* app = program.add_subcommand("train", "Train a model on images and masks, or on volumes and labels");
  auto a = std::make_shared<TrainArguments>();
  a->app = app;
  a->crops = 0;
  app->add_option("--data", a->data,
                  "Folder of images/STEM.png and masks/K/STEM.png for the classes K = 0, 1, ...; or of "
                  "imagesTr/STEM.nii.gz and labelsTr/STEM.nii.gz")
      ->required();
  app->add_option("--train-list", a->train_list,
                  "List of stems, relative to --data unless absolute; volumes: also lines of image,label, or a "
                  "datalist (.json)")
      ->capture_default_str();
  app->add_option("--val-list", a->val_list, "The same, of the cases to choose the best epoch by")
      ->capture_default_str();
  app->add_option("--recipe", a->recipe,
                  "default-2d, paper-2d, default-3d or paper-3d; default: default-2d, or default-3d where --data has "
                  "imagesTr or the list is a datalist")
      ->check(CLI::IsMember({"default-2d", "paper-2d", "default-3d", "paper-3d"}));
  app->add_option("--network", a->network,
                  "2d, 3d, 3d-l0, 3d-l1, 3d-l2, or a file NAME.json with rank, dims, splits, depths, ...; default: 2d "
                  "or 3d");
  app->add_option("--size", a->size, "Pictures: side of the network's input, a multiple of 32")
      ->check(CLI::Range(32, 4096))
      ->capture_default_str();
  app->add_option("--mask-threshold", a->mask_threshold, "Pictures: a mask is foreground above this value, 0 to 254")
      ->check(CLI::Range(0, 254))
      ->capture_default_str();
  app->add_option("--patch", a->patch,
                  "Volumes: depth, height and width of the network's input, multiples of 32; default: from the median "
                  "size of the training volumes (paper-3d: 96 96 96)")
      ->expected(3)
      ->check(CLI::Range(32, 512));
  app->add_option("--spacing", a->spacing,
                  "Volumes: mm between voxels along depth, height and width; default: each volume's own (paper-3d: "
                  "1.5 1.5 2)")
      ->expected(3)
      ->check(CLI::Range(1e-3, 1e3));
  app->add_option("--crops", a->crops, "Volumes: patches of each volume in an epoch; default 1, paper-3d: 4")
      ->check(CLI::Range(1, 10000));
  app->add_option("--epochs", a->epochs, "Default 100; paper-2d: 500, paper-3d: 5000")->check(CLI::Range(1, 1000000));
  app->add_option("--batch", a->batch, "Images or patches per step; default 8 (volumes 2), paper-2d: 16, paper-3d: 4")
      ->check(CLI::Range(1, 4096));
  app->add_option("--accumulate", a->accumulate,
                  "Parts that a batch is cut into to save memory; their gradients are added. Equal to the whole batch "
                  "but for batch norms (2D: all norms; 3D: two in each GMS block), whose statistics are a part's")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app->add_flag("--checkpointing", a->checkpointing,
                "Compute activations again in the backward pass: less memory, more time, the same bits");
  app->add_option("--val-every", a->validate_every, "Epochs from one validation to the next")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app->add_option("--lr", a->rate, "Base learning rate; default 0.02 (SGD), volumes: 0.001 (AdamW)")
      ->check(CLI::Range(1e-12, 1e3));
  app->add_option("--classes", a->classes, "Names of the classes; default: the data's, or class 0, class 1, ...")
      ->delimiter(',');
  app->add_option("--seed", a->seed, "Of weights, order and augmentation")->capture_default_str();
  app->add_option("--init", a->init, "Weights to start from: a model.safetensors");
  app->add_option("--cache-mb", a->cache_mb, "Decoded images or volumes kept in memory, at most")
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
