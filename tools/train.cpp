// lgmsnet train: from a folder of pictures or volumes to a model, with everything a run leaves behind.
#include "tools/train.h"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <set>

#include "core/error.h"
#include "core/io/bytes.h"
#include "core/io/class_names.h"
#include "core/io/files.h"
#include "core/io/json.h"
#include "core/io/output_file.h"
#include "lgmsnet/steps.h"
#include "nn/curves.h"
#include "tools/inputs.h"
#include "tools/printing.h"
#include "tools/run_lock.h"
#include "tools/run_options.h"
#include "tools/status_line.h"
#include "tools/verbs.h"

namespace lgms::tools {
namespace {

using io::Json;
namespace fs = std::filesystem;

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

// For messages.
std::string shown(const Json& json) {
  const std::string all = json.dump();
  return all.size() <= 80 ? all : all.substr(0, 80) + "...";
}

void check_options(const TrainArguments& a) {
  for_each_option(a, [&](const char* name, const auto& value, const Allowed& allowed, const char*) {
    const std::vector<std::string> typed = a.verb.words(std::string("--") + name);
    if (typed.empty()) return;
    std::string got;
    for (const std::string& word : typed) got.append(got.empty() ? "" : " ").append(word);
    check(allows(allowed, value), ErrorKind::usage, "[train] --", name, ": expected ", description(allowed, value),
          ", got ", got);
  });
}

// A setting of a checkpoint that is a number must be one that the option could have been.
void check_numbers(const nn::Settings& saved, const TrainArguments& a, const std::string& source) {
  for_each_option(a, [&](const char* name, const auto& value, const Allowed& allowed, const char*) {
    using T = std::decay_t<decltype(value)>;
    if constexpr (std::is_arithmetic_v<T>)
      for (const auto& [key, setting] : saved) {
        T number;
        check(key != name || take(allowed, io::parse_json(setting).value, number), ErrorKind::model, "[", source,
              "] lgms.setting.", name, ": expected ", description(allowed, value), ", got ", shown(setting));
      }
  });
}

// f(text of the member, file), which reads what a model file holds too; in config.json the whole file is usage.
template <class F>
auto read_member(const Json& run, const char* name, const std::string& config, const F& f) {
  const Json* member = run.find(name);
  check(member != nullptr, ErrorKind::usage, "[", config, "] expected the ", name, " of the run, got none");
  try {
    return f(member->dump(), config);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::model) throw;
    throw Error(ErrorKind::usage, e.message());
  }
}

// On resume, options that were not given are those of the run.
void recall(TrainArguments& a, const fs::path& path) {
  const std::string config = path.string();
  const auto [run, problem] = io::parse_json(io::read_text(path, ErrorKind::usage));
  const Json* arguments = run.find("arguments");
  check(arguments != nullptr && arguments->is_object(), ErrorKind::usage, "[", config,
        "] expected the configuration of a run, got ", problem.empty() ? "something else" : problem);
  std::set<std::string_view> known{"data"};
  for_each_option(a, [&](const char* name, auto& value, const Allowed& allowed, const char*) {
    known.insert(name);
    const Json* saved = arguments->find(name);
    if (a.verb.given(std::string("--") + name) || saved == nullptr) return;
    const bool may_be_none = !allows(allowed, value) && value != std::decay_t<decltype(value)>{};
    if (may_be_none && saved->is_null()) return;
    check(take(allowed, *saved, value), ErrorKind::usage, "[", config, "] ", name, ": expected ",
          description(allowed, value), ", got ", shown(*saved));
  });
  // Before there was "white", 127 was written where no threshold was given.
  if (!arguments->contains("white") && !a.verb.given("--mask-threshold") && a.mask_threshold == 127)
    a.mask_threshold = -1;
  for (const auto& [name, value] : arguments->members())
    check(known.contains(name), ErrorKind::usage, "[", config, "] ", name,
          ": expected no such option; the run was started by a newer version of this program");
  if (!io::is_file(path.parent_path() / "last.safetensors", ErrorKind::model)) return;

  a.run_network = read_member(run, "network", config, Config::from_json);
  const bool volumes = a.run_network->rank == 3;
  a.run_recipe = read_member(run, "recipe", config, [&](const std::string& json, const std::string& source) {
    return volumes ? VolumeRecipe::from_json(json, source).to_json() : Recipe::from_json(json, source).to_json();
  });
  check(a.verb.given("--recipe") || volumes == a.volumes(), ErrorKind::usage, "[", config, "] network rank: expected ",
        a.volumes() ? 3 : 2, ", as ", a.recipe, " needs, got ", a.run_network->rank);
  const Json* classes = run.find("classes");
  check(classes != nullptr && classes->is_array() && std::ssize(classes->items()) == a.run_network->classes,
        ErrorKind::usage, "[", config, "] classes: expected ", a.run_network->classes,
        " name(s), as many as the network has, got ", classes == nullptr ? "none" : shown(*classes));
  std::vector<std::string> names;
  for (const Json& name : classes->items()) {
    check(name.is_string(), ErrorKind::usage, "[", config, "] classes: expected names, got ", shown(name));
    names.push_back(name.string());
  }
  io::check_class_names(names, ErrorKind::usage, "[" + config + "] classes");
  if (!a.verb.given("--classes")) a.classes = std::move(names);
}

// Whether there is a checkpoint in --out. Throws Error{usage} where it is not to be gone on from.
bool holds_run(const TrainArguments& a) {
  const bool saved = io::look_at(fs::path(a.out) / "last.safetensors", ErrorKind::model) != io::Found::nothing;
  check(a.resume || !saved, ErrorKind::usage, "[", a.out,
        "] already holds a run; --resume goes on with it, another --out starts a new one");
  return saved;
}

std::string percent(double share) { return text(static_cast<int>(share * 100 + 0.5), " %"); }

// One run: what it trains and what it leaves in its folder.
class Run {
 public:
  Run(TrainArguments arguments, RunLock& lock);
  void operator()();

 private:
  void write_config(const nn::Settings& settings) const;
  void resume(nn::Trainer& trainer) const;
  void on_step(const nn::StepReport& r);
  void on_epoch(const nn::Table& metrics, bool best);
  void write_curves(const nn::Table& metrics) const;
  void check_data();
  void warn_of_overlap();

  TrainArguments a_;
  RunLock& lock_;
  fs::path out_;
  std::unique_ptr<Study> study_;
  LGMSNet net_;
  nn::Optimizer optimizer_;
  StatusLine status_;
};

// With the weights that the study brings, or fresh ones.
LGMSNet network_of(const TrainArguments& a, const Study& study) {
  const ModelFile& model = study.model;
  int64_t elements = 0;
  for (const ParameterSpec& p : parameter_specs(model.config)) elements += p.shape.numel();
  // Weights, gradients, and what the optimiser keeps of each.
  const int64_t copies = std::holds_alternative<kernels::AdamW>(study.optimizer) ? 4 : 3,
                bytes = copies * elements * size_of(DType::f32);
  check(static_cast<uint64_t>(bytes) <= machine_memory(), ErrorKind::device, "[train] network: its ", elements,
        " weights and their gradients need ", bytes, " bytes, this machine has ", machine_memory());
  return model.tensors.empty() ? LGMSNet(model.config, a.seed) : LGMSNet(model.config, model.tensors, a.init);
}

Run::Run(TrainArguments arguments, RunLock& lock)
    : a_(std::move(arguments)),
      lock_(lock),
      out_(a_.out),
      study_(a_.volumes() ? volume_study(a_) : picture_study(a_)),
      net_(network_of(a_, *study_)),
      optimizer_(net_.store(), study_->optimizer) {}

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
                                        .older = study_->older,
                                        .allow_drift = a_.allow_drift});
  trainer.on_step = [this](const nn::StepReport& r) { on_step(r); };
  trainer.on_epoch = [this](const nn::Table& metrics, bool best) { on_epoch(metrics, best); };

  io::ensure_directory(out_);
  lock_.take(out_);
  const bool saved = holds_run(a_);
  if (saved) resume(trainer);
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

void Run::resume(nn::Trainer& trainer) const {
  const std::string source = trainer.checkpoint_path().string();
  const nn::Checkpoint checkpoint = nn::load_checkpoint(source);
  check_numbers(checkpoint.settings, a_, source);
  trainer.resume(checkpoint);
  if (trainer.progress().best_epoch > 0) load_model(out_ / "model.safetensors");  // what the run will name at its end
  const ModelFile& model = study_->model;
  const std::string recipe = a_.volumes() ? model.volume_recipe.to_json() : model.recipe.to_json();
  check(a_.run_recipe == recipe, ErrorKind::usage, "[", (out_ / "config.json").string(), "] recipe: expected ", recipe,
        ", as its arguments say, got ", a_.run_recipe);
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
  for_each_option(a_, [&](const char* name, const auto& value, const Allowed& allowed, const char*) {
    config["arguments"][name] = allows(allowed, value) ? Json(value) : Json();
  });
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
  const bool volumes = io::is_folder(fs::path(a.data) / "imagesTr") || io::lower_extension(a.train_list) == ".json";
  return volumes ? "default-3d" : "default-2d";
}

void train(TrainArguments a) {
  check_options(a);
  io::check_class_names(a.classes, ErrorKind::usage, "[train] --classes");
  const Session session(a.machine);
  const fs::path out = a.out, config = out / "config.json";
  RunLock lock;
  if (io::is_folder(out, ErrorKind::output)) lock.take(out);
  holds_run(a);
  if (a.resume) {
    check(io::look_at(config, ErrorKind::usage) != io::Found::nothing, ErrorKind::usage, "[", a.out,
          "] --resume: expected the folder of a run, found no config.json; leave --resume out to start one");
    recall(a, config);
  }
  if (a.recipe.empty()) a.recipe = recipe_for(a);
  const bool paper = a.recipe.starts_with("paper");
  if (!a.init.empty() && (!a.run_network || a.verb.given("--network"))) a.start = load_model(a.init, a.recipe);
  if (a.volumes()) {
    a.verb.refuse({"--size", "--mask-threshold", "--white"}, "is for pictures, not for " + a.recipe);
    if (a.crops == 0) a.crops = paper ? 4 : 1;
    if (a.epochs == 0) a.epochs = paper ? 5000 : 100;
    if (a.batch == 0) a.batch = paper ? 4 : 2;
    if (a.rate == 0) a.rate = 1e-3;
  } else {
    a.verb.refuse({"--patch", "--spacing", "--crops"}, "is for volumes, not for " + a.recipe);
    a.crops = 1;
    if (a.epochs == 0) a.epochs = paper ? 500 : 100;
    if (a.batch == 0) a.batch = paper ? 16 : 8;
    if (a.rate == 0) a.rate = 0.02;
    if (a.start && !a.verb.given("--white")) a.white = a.start->recipe.white;  // which its weights have learnt
  }
  Run run(std::move(a), lock);
  run();
}

}  // namespace

ModelFile initial_model(const TrainArguments& a, const std::string& standard, int64_t classes,
                        std::vector<std::string> names) {
  ModelFile model;
  std::string source = (fs::path(a.out) / "config.json").string();
  if (a.run_network && !a.verb.given("--network")) {
    model.config = *a.run_network;
    model.classes = names;
  } else if (a.start) {
    model = *a.start;
    source = a.init;
  } else {
    source = a.network.empty() ? standard : a.network;
    if (io::lower_extension(source) == ".json") {
      model.config = Config::from_json(io::read_text(source, ErrorKind::model), source);
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

void add_train(CommandLine& program) {
  const Verb verb = program.add_verb("train", "Train a model on images and masks, or on volumes and labels");
  auto a = std::make_shared<TrainArguments>();
  a->verb = verb;
  a->crops = 0;
  verb.add("--data", a->data,
           "Folder of images/STEM.png (.jpg, .bmp) and masks/K/STEM.png (.bmp) for the classes K = 0, 1, ...; or of "
           "imagesTr/STEM.nii.gz and labelsTr/STEM.nii.gz")
      .required();
  for_each_option(*a, [&](const char* name, auto& value, const Allowed& allowed, const char* help) {
    using T = std::decay_t<decltype(value)>;
    const std::string option = std::string("--") + name;
    if constexpr (std::is_same_v<T, bool>) {
      verb.add_flag(option, value, help);
    } else {
      const bool bounded = !std::is_same_v<T, std::string> && allowed.most != Allowed{}.most;
      const Option added = verb.add(option, value, bounded ? text(help, " (", description(allowed, value), ')') : help);
      if (allowed.count > 0) added.values(static_cast<int>(allowed.count), static_cast<int>(allowed.count));
      if (value != T{} && allows(allowed, value)) added.shows_default();
    }
  });
  verb.add("--classes", a->classes, "Names of the classes; default: the data's, or class 0, class 1, ...")
      .separated_by(',');
  verb.add("--cache-mb", a->cache_mb, "Decoded images or volumes kept in memory, at most")
      .range(0, 1 << 20)
      .shows_default();
  verb.add_flag("--resume", a->resume, "Go on with the run in --out");
  verb.add_flag("--allow-drift", a->allow_drift,
                "Resume although the instruction set is another one: last bits will differ");
  verb.add("--out", a->out, "Folder of the run").required();
  add_machine(verb, a->machine);
  verb.action([a] { train(*a); });
}

}  // namespace lgms::tools
