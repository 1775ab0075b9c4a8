#pragma once
// What the two kinds of training have in common: a Study knows its data, TrainingRun runs it. Private to training.
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/io/json.h"
#include "lgmsnet/model_file.h"
#include "lgmsnet/training/lgmsnet.h"
#include "lgmsnet/training/training_options.h"
#include "nn/trainer.h"

namespace lgms {

// A training whose options are settled, and where it begins.
struct TrainingPlan {
  TrainingOptions options;
  std::optional<ModelFile> start;  // what options.init names, where a run begins
  // Of the run that goes on.
  std::optional<Config> run_network;
  std::string run_recipe;  // JSON; empty where there is none

  bool given(std::string_view name) const { return options.given.contains(name); }
  bool volumes() const { return recipe_named(options.recipe).rank == 3; }
  bool paper() const { return recipe_named(options.recipe).paper; }
};

// Pictures or volumes: what is read, how it becomes a batch, how it is judged.
class Study {
 public:
  virtual ~Study() = default;

  ModelFile model;  // network, recipe, classes; the weights to start from, if there are any
  nn::Dataset train, val;
  nn::Settings settings;  // those of this kind of data, by the names of their options
  nn::Settings older;     // those that runs of older programs lack, as these ran
  nn::Loss loss;
  nn::Optimizer::Options optimizer;
  io::Json optimizer_notes;                // for config.json
  std::string best_by = "val_dice", unit;  // "images"

  std::string recipe() const { return model.config.rank == 3 ? model.volume_recipe.to_json() : model.recipe.to_json(); }

  virtual nn::Input prepare(const nn::Example& example, Rng* rng) const = 0;
  virtual double rate(int64_t step, int64_t batches) const = 0;  // of an epoch
  // Always the same names, best_by among them. on_part(done, all) is called now and then.
  virtual nn::NamedScores validate(const LGMSNet& net, const std::function<void(int64_t, int64_t)>& on_part) const = 0;
  // A few validation cases as PNG files, prediction and truth drawn over them.
  virtual void write_pictures(const LGMSNet& net, const std::filesystem::path& folder) const = 0;

 protected:
  Study(std::vector<std::string> training, std::vector<std::string> validation, const nn::Dataset::Read& read,
        int64_t cache_mb)
      : Study(std::move(training), std::move(validation), read, std::make_shared<nn::CacheRoom>(cache_mb << 20)) {}

 private:
  Study(std::vector<std::string> training, std::vector<std::string> validation, const nn::Dataset::Read& read,
        const std::shared_ptr<nn::CacheRoom>& room)
      : train(std::move(training), read, room), val(std::move(validation), read, room) {}
};

std::unique_ptr<Study> picture_study(const TrainingPlan& plan);
std::unique_ptr<Study> volume_study(const TrainingPlan& plan);

// The network to start from: that of the run that goes on, plan.start with its weights, or options.network's (standard
// where that is empty) with `classes` outputs. Recipe and, where none are given, names of classes are the caller's.
// Throws Error{model} where rank or classes are not these.
ModelFile initial_model(const TrainingPlan& plan, const std::string& standard, int64_t classes,
                        std::vector<std::string> names);

}  // namespace lgms
