#include "lgmsnet/training/training_run.h"

#include <algorithm>
#include <set>
#include <utility>

#include "core/error.h"
#include "core/io/bytes.h"
#include "core/io/files.h"
#include "core/io/output_file.h"
#include "lgmsnet/steps.h"
#include "lgmsnet/training/run_config.h"
#include "lgmsnet/training/study.h"

namespace lgms {
namespace {

namespace fs = std::filesystem;

// What a recipe says of training where the options do not.
struct Defaults {
  std::string_view recipe;
  int64_t epochs, batch, crops;
  double rate;
};
constexpr std::array<Defaults, kRecipes.size()> kDefaults{{{"default-2d", 100, 8, 1, 0.02},
                                                           {"paper-2d", 500, 16, 1, 0.02},
                                                           {"default-3d", 100, 2, 1, 1e-3},
                                                           {"paper-3d", 5000, 4, 4, 1e-3}}};

// Whether there is a checkpoint in the folder. Throws Error{usage} where it is not to be gone on from.
bool holds_run(const TrainingOptions& o) {
  const bool saved = io::look_at(fs::path(o.out) / "last.safetensors", ErrorKind::model) != io::Found::nothing;
  check(o.resume || !saved, ErrorKind::usage, "[", o.out,
        "] already holds a run; --resume goes on with it, another --out starts a new one");
  return saved;
}

void refuse(const TrainingPlan& plan, std::initializer_list<const char*> names, const char* kind) {
  for (const char* name : names)
    check(!plan.given(name), ErrorKind::usage, "[train] --", name, " is for ", kind, ", not for ", plan.options.recipe);
}

// name: as options.network has it.
Config network_named(const std::string& name, int64_t classes) {
  if (io::lower_extension(name) == ".json") return Config::from_json(io::read_text(name, ErrorKind::model), name);
  Config config = Config::named(name);
  config.classes = classes;
  return config;
}

// What is neither given nor remembered.
void settle(TrainingPlan& plan) {
  TrainingOptions& o = plan.options;
  if (o.recipe.empty()) o.recipe = recipe_for(o.data);
  if (!o.init.empty() && (!plan.run_network || plan.given("network"))) plan.start = load_model(o.init, o.recipe);
  if (plan.volumes())
    refuse(plan, {"size", "mask-threshold", "white"}, "pictures");
  else
    refuse(plan, {"patch", "spacing", "crops"}, "volumes");
  const Defaults& defaults =
      *std::find_if(kDefaults.begin(), kDefaults.end(), [&](const Defaults& d) { return d.recipe == o.recipe; });
  if (o.crops == 0 || !plan.volumes()) o.crops = defaults.crops;
  if (o.epochs == 0) o.epochs = defaults.epochs;
  if (o.batch == 0) o.batch = defaults.batch;
  if (o.rate == 0) o.rate = defaults.rate;
  // White is what the weights have learnt it to be.
  if (!plan.volumes() && plan.start && !plan.given("white")) o.white = plan.start->recipe.white;
}

TrainingPlan plan_of(TrainingOptions options, RunLock& lock) {
  check_options(options);
  check(!options.out.empty(), ErrorKind::usage, "[train] --out: expected a folder, got an empty text");
  TrainingPlan plan{std::move(options), {}, {}, {}};
  const TrainingOptions& o = plan.options;
  const fs::path out = o.out, config = out / "config.json";
  if (io::is_folder(out, ErrorKind::output)) lock.take(out);
  holds_run(o);
  if (o.resume) {
    check(io::look_at(config, ErrorKind::usage) != io::Found::nothing, ErrorKind::usage, "[", o.out,
          "] --resume: expected the folder of a run, found no config.json; leave --resume out to start one");
    recall(plan, config);
  }
  settle(plan);
  return plan;
}

// With the weights that the study brings, or fresh ones.
LGMSNet network_of(const TrainingOptions& o, const Study& study) {
  const ModelFile& model = study.model;
  int64_t elements = 0;
  for (const ParameterSpec& p : parameter_specs(model.config)) elements += p.shape.numel();
  // Weights, gradients, and what the optimiser keeps of each.
  const int64_t copies = std::holds_alternative<kernels::AdamW>(study.optimizer) ? 4 : 3,
                bytes = copies * elements * size_of(DType::f32);
  check(static_cast<uint64_t>(bytes) <= machine_memory(), ErrorKind::device, "[train] network: its ", elements,
        " weights and their gradients need ", bytes, " bytes, this machine has ", machine_memory());
  return model.tensors.empty() ? LGMSNet(model.config, o.seed) : LGMSNet(model.config, model.tensors, o.init);
}

}  // namespace

struct TrainingRun::State {
  explicit State(TrainingPlan settled)
      : plan(std::move(settled)),
        study(plan.volumes() ? volume_study(plan) : picture_study(plan)),
        net(network_of(plan.options, *study)),
        optimizer(net.store(), study->optimizer) {}

  fs::path file(const char* name) const { return fs::path(plan.options.out) / name; }

  TrainingPlan plan;
  std::unique_ptr<Study> study;
  LGMSNet net;
  nn::Optimizer optimizer;
  std::optional<nn::Trainer> trainer;
  bool ready = false;  // to train
};

TrainingRun::TrainingRun(TrainingOptions options, TrainingEvents events)
    : events_(std::move(events)), state_(std::make_unique<State>(plan_of(std::move(options), lock_))) {}

TrainingRun::~TrainingRun() = default;

const TrainingOptions& TrainingRun::options() const { return state_->plan.options; }

TrainingStart TrainingRun::begin() {
  State& s = *state_;
  check(!s.trainer, ErrorKind::usage, "[train] expected one begin(); make another TrainingRun to try again");
  const TrainingOptions& o = options();
  const auto tell = [this](std::string_view what, int64_t done, int64_t all) {
    if (events_.progress) events_.progress(what, done, all);
  };
  const int64_t batches = nn::batches_of(s.study->train.size() * o.crops, o.batch);
  nn::Task task{s.net.store(),
                s.optimizer,
                s.study->train,
                [&s](const nn::Example& e, Rng* rng) { return s.study->prepare(e, rng); },
                [&s](const Tensor& x, bool training) {
                  return s.net.forward(x, training, {}, s.plan.options.checkpointing && training);
                },
                s.study->loss,
                [&s, batches](int64_t step) { return s.study->rate(step, batches); },
                [&s, tell] {
                  return s.study->validate(s.net, [&](int64_t done, int64_t all) { tell("validating", done, all); });
                }};
  s.trainer.emplace(std::move(task), nn::TrainerOptions{.epochs = o.epochs,
                                                        .batch = o.batch,
                                                        .crops = o.crops,
                                                        .accumulate = o.accumulate,
                                                        .validate_every = o.validate_every,
                                                        .seed = o.seed,
                                                        .folder = o.out,
                                                        .best_by = s.study->best_by,
                                                        .settings = settings_of(o, *s.study),
                                                        .older = s.study->older,
                                                        .allow_drift = o.allow_drift});
  s.trainer->on_step = events_.step;
  s.trainer->on_epoch = [this](const nn::Table& metrics, bool best) { on_epoch(metrics, best); };

  io::ensure_directory(o.out);
  lock_.take(o.out);
  const bool saved = holds_run(o);
  if (saved) resume();
  write_run_config(s.file("config.json"), o, *s.study);
  read_data();
  s.ready = true;
  return {saved,
          s.trainer->progress().step,
          o.epochs * batches,
          s.study->train.size(),
          s.study->val.size(),
          s.study->unit,
          s.study->model.config.classes,
          s.net.store().trained_elements()};
}

void TrainingRun::resume() {
  State& s = *state_;
  const std::string source = s.trainer->checkpoint_path().string();
  const nn::Checkpoint checkpoint = nn::load_checkpoint(source);
  check_numbers(checkpoint.settings, source);
  s.trainer->resume(checkpoint);
  if (s.trainer->progress().best_epoch > 0)
    load_model(s.file("model.safetensors"));  // what the run will name at its end
  check(s.plan.run_recipe == s.study->recipe(), ErrorKind::usage, "[", s.file("config.json").string(),
        "] recipe: expected ", s.study->recipe(), ", as its arguments say, got ", s.plan.run_recipe);
}

void TrainingRun::read_data() {
  const Study& study = *state_->study;
  for (const nn::Dataset* data : {&study.train, &study.val})
    for (int64_t i = 0; i < data->size(); ++i) {
      check(!Context::current().stop().requested(), ErrorKind::interrupted, "[train] stopped before the first step");
      data->example(i);
      if (events_.progress) events_.progress("reading " + study.unit, i + 1, data->size());
    }
  const std::set<std::string> trained(study.train.stems().begin(), study.train.stems().end());
  const auto both = std::count_if(study.val.stems().begin(), study.val.stems().end(),
                                  [&](const std::string& stem) { return trained.contains(stem); });
  if (both > 0)
    Context::current().log(text("warning: ", both, " names stand in both lists; validation will look too good"));
}

TrainingResult TrainingRun::train() {
  State& s = *state_;
  check(std::exchange(s.ready, false), ErrorKind::usage,
        "[train] expected a begin() that succeeded before, and one train(); make another TrainingRun to go on");
  s.trainer->run();
  const nn::Progress& done = s.trainer->progress();
  return {done.best_epoch, done.epoch, s.study->best_by, done.best, s.file("model.safetensors")};
}

void TrainingRun::on_epoch(const nn::Table& metrics, bool best) {
  if (best) save_best(metrics);
  if (events_.epoch) events_.epoch(metrics, best);
  if (!best) return;
  io::ensure_directory(state_->file("overlays"));  // last: it takes a moment, and may be interrupted
  state_->study->write_pictures(state_->net, state_->file("overlays"));
}

void TrainingRun::save_best(const nn::Table& metrics) const {
  const TrainingOptions& o = options();
  ModelFile& model = state_->study->model;
  model.tensors = state_->net.store().tensors();
  io::Json training = io::Json::object({{"data", fs::path(o.data.folder).lexically_normal().filename().string()},
                                        {state_->study->unit, state_->study->train.size()},
                                        {"epochs", o.epochs},
                                        {"epoch", static_cast<int64_t>(metrics.column("epoch").back())},
                                        {"batch", o.batch},
                                        {"lr", o.rate},
                                        {"seed", o.seed},
                                        {"init", fs::path(o.init).filename().string()}});
  for (size_t c = 4; c < metrics.columns.size(); ++c) training[metrics.columns[c]] = metrics.rows.back()[c];
  training["lgmsnet"] = o.version;
  training["commit"] = o.commit;
  model.training = training.dump();
  save_model(state_->file("model.safetensors"), model);
}

ModelFile initial_model(const TrainingPlan& plan, const std::string& standard, int64_t classes,
                        std::vector<std::string> names) {
  const TrainingOptions& o = plan.options;
  ModelFile model;
  std::string source = (fs::path(o.out) / "config.json").string();
  if (plan.run_network && !plan.given("network")) {
    model.config = *plan.run_network;
    model.classes = names;
  } else if (plan.start) {
    model = *plan.start;
    source = o.init;
    check(o.network.empty() || network_named(o.network, classes) == model.config, ErrorKind::usage,
          "[train] --network: ", o.init, " (--init) has another one; leave it out");
  } else {
    source = o.network.empty() ? standard : o.network;
    model.config = network_named(source, classes);
    model.classes = std::move(names);
  }
  const int rank = plan.volumes() ? 3 : 2;
  check(model.config.rank == rank && model.config.classes == classes, ErrorKind::model, "[", source, "] expected a ",
        rank, "D network of ", classes, " classes, as the data in ", o.data.folder, " has, got rank ",
        model.config.rank, ", classes ", model.config.classes);
  if (!o.data.classes.empty()) model.classes = o.data.classes;
  check(std::ssize(model.classes) == classes, ErrorKind::usage, "[train] --classes: expected ", classes,
        " name(s), as many as the data has classes, got ", model.classes.size());
  return model;
}

}  // namespace lgms
