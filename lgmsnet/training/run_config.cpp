#include "lgmsnet/training/run_config.h"

#include <set>

#include "core/error.h"
#include "core/io/bytes.h"
#include "core/io/class_names.h"
#include "core/io/files.h"
#include "core/io/output_file.h"

namespace lgms {
namespace {

using io::Json;
namespace fs = std::filesystem;

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

std::string list_setting(const std::vector<std::string>& stems) {
  return text(stems.size(), " names, hash ", nn::hash_of(stems));
}

// What null says in config.json, of an option that begins as one that is not allowed; false of any other option.
template <class T>
bool set_to_none(std::string_view option, T& value) {
  bool none = false;
  for_each_option(TrainingOptions{}, [&](const char* name, const auto& standard, const Allowed& allowed, const char*) {
    if constexpr (std::is_same_v<std::decay_t<decltype(standard)>, T>)
      if (option == name && standard != T{} && !allows(allowed, standard)) {
        value = standard;
        none = true;
      }
  });
  return none;
}

void recall_options(TrainingPlan& plan, const Json& saved, const std::string& config) {
  std::set<std::string_view> known{"data"};
  for_each_option(plan.options, [&](const char* name, auto& value, const Allowed& allowed, const char*) {
    known.insert(name);
    const Json* of_run = saved.find(name);
    if (plan.given(name) || of_run == nullptr) return;
    if (of_run->is_null() && set_to_none(name, value)) return;
    check(take(allowed, *of_run, value), ErrorKind::usage, "[", config, "] ", name, ": expected ",
          description(allowed, value), ", got ", shown(*of_run));
  });
  // Before there was "white", 127 was written where no threshold was given.
  if (!saved.contains("white") && !plan.given("mask-threshold") && plan.options.mask_threshold == 127)
    plan.options.mask_threshold = -1;
  for (const auto& [name, value] : saved.members())
    check(known.contains(name), ErrorKind::usage, "[", config, "] ", name,
          ": expected no such option; the run was started by a newer version of this program");
}

void recall_model(TrainingPlan& plan, const Json& run, const std::string& config) {
  const Config network = read_member(run, "network", config, Config::from_json);
  const bool volumes = network.rank == 3;
  plan.run_network = network;
  plan.run_recipe = read_member(run, "recipe", config, [&](const std::string& json, const std::string& source) {
    return volumes ? VolumeRecipe::from_json(json, source).to_json() : Recipe::from_json(json, source).to_json();
  });
  check(plan.given("recipe") || volumes == plan.volumes(), ErrorKind::usage, "[", config, "] network rank: expected ",
        plan.volumes() ? 3 : 2, ", as ", plan.options.recipe, " needs, got ", network.rank);
  const Json* classes = run.find("classes");
  check(classes != nullptr && classes->is_array() && std::ssize(classes->items()) == network.classes, ErrorKind::usage,
        "[", config, "] classes: expected ", network.classes, " name(s), as many as the network has, got ",
        classes == nullptr ? "none" : shown(*classes));
  std::vector<std::string> names;
  for (const Json& name : classes->items()) {
    check(name.is_string(), ErrorKind::usage, "[", config, "] classes: expected names, got ", shown(name));
    names.push_back(name.string());
  }
  io::check_class_names(names, ErrorKind::usage, "[" + config + "] classes");
  if (!plan.given("classes")) plan.options.data.classes = std::move(names);
}

}  // namespace

nn::Settings settings_of(const TrainingOptions& o, const Study& study) {
  nn::Settings settings{{"recipe", o.recipe},
                        {"network", study.model.config.to_json()},
                        {"epochs", std::to_string(o.epochs)},
                        {"batch", std::to_string(o.batch)},
                        {"accumulate", std::to_string(o.accumulate)},
                        {"val-every", std::to_string(o.validate_every)},
                        {"lr", nn::exact_text(o.rate)},
                        {"seed", std::to_string(o.seed)},
                        {"init", o.init},
                        {"train-list", list_setting(study.train.stems())},
                        {"val-list", list_setting(study.val.stems())}};
  settings.insert(settings.end(), study.settings.begin(), study.settings.end());
  return settings;
}

void write_run_config(const fs::path& file, const TrainingOptions& options, const Study& study) {
  Json config;
  config["lgmsnet"] = options.version;
  config["arguments"]["data"] = options.data.folder;
  for_each_option(options, [&](const char* name, const auto& value, const Allowed& allowed, const char*) {
    config["arguments"][name] = allows(allowed, value) ? Json(value) : Json();
  });
  config["classes"] = study.model.classes;
  config["network"] = io::parse_json(study.model.config.to_json()).value;
  config["recipe"] = io::parse_json(study.recipe()).value;
  config["optimizer"] = study.optimizer_notes;
  config["lists"]["train-list"] = list_setting(study.train.stems());
  config["lists"]["val-list"] = list_setting(study.val.stems());
  config["isa"] = Context::current().arithmetic();
  io::write_file(file, config.dump(2) + "\n");
}

void recall(TrainingPlan& plan, const fs::path& file) {
  const std::string config = file.string();
  const auto [run, problem] = io::parse_json(io::read_text(file, ErrorKind::usage));
  const Json* arguments = run.find("arguments");
  check(arguments != nullptr && arguments->is_object(), ErrorKind::usage, "[", config,
        "] expected the configuration of a run, got ", problem.empty() ? "something else" : problem);
  recall_options(plan, *arguments, config);
  if (plan.options.recipe.empty()) plan.options.recipe = recipe_for(plan.options.data);
  if (io::is_file(file.parent_path() / "last.safetensors", ErrorKind::model)) recall_model(plan, run, config);
}

void check_numbers(const nn::Settings& saved, const std::string& source) {
  for_each_option(TrainingOptions{}, [&](const char* name, const auto& value, const Allowed& allowed, const char*) {
    using T = std::decay_t<decltype(value)>;
    if constexpr (std::is_arithmetic_v<T>)
      for (const auto& [key, setting] : saved) {
        T number;
        check(key != name || take(allowed, io::parse_json(setting).value, number), ErrorKind::model, "[", source,
              "] lgms.setting.", name, ": expected ", description(allowed, value), ", got ", shown(setting));
      }
  });
}

}  // namespace lgms
