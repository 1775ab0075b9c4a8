#pragma once
// A run: from labelled pictures or volumes on the disk to a model, in a folder that a later session can go on with.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lgmsnet/training/lgmsnet.h"
#include "lgmsnet/training/run_lock.h"
#include "lgmsnet/training/training_options.h"
#include "nn/trainer.h"

namespace lgms {

class Study;

// Where a session begins, and with what.
struct TrainingStart {
  bool resumed;
  int64_t step, steps;           // done; of the whole run
  int64_t training, validation;  // cases
  std::string unit;              // of these: "images", "volumes"
  int64_t classes, parameters;
};

struct TrainingResult {
  int64_t best_epoch, epochs;  // from 1; done
  std::string best_by;         // the score that the best epoch was chosen by,
  double best;                 // and its value, 0 to 1
  std::filesystem::path model;
};

// Called in the thread that trains; what they throw ends the session.
struct TrainingEvents {
  // what: "reading images", "validating"; done: of all.
  std::function<void(std::string_view what, int64_t done, int64_t all)> progress = {};
  std::function<void(const nn::StepReport&)> step = {};
  // After an epoch with validation: the table so far, whose last row is the epoch's, and whether it is the best so far;
  // its model is then in the folder.
  std::function<void(const nn::Table& metrics, bool best)> epoch = {};
};

// In the current context, whose log is told what is worth a remark. The folder has, besides what nn::Trainer writes:
// config.json, the options of the run; model.safetensors, the weights of the best epoch; overlays/, what these make of
// a few validation cases. A run is a function of its options and data: neither the number of threads nor an
// interruption changes a bit of its files.
class TrainingRun {
 public:
  // Settles the options (those of the run in options.out, the recipe's defaults), reads lists and headers, makes the
  // network, and locks the folder where it is there (.lock), which is all it writes. Throws Error{usage} where an
  // option makes no sense, or is not the run's, or the folder holds a run that is not to go on, or belongs to another
  // training; Error{data} on lists and labels; Error{model} on network, init and checkpoint; Error{device} where
  // weights and gradients do not fit into this machine's memory; Error{output} where the folder cannot be locked.
  explicit TrainingRun(TrainingOptions options, TrainingEvents events = {});
  ~TrainingRun();
  TrainingRun(const TrainingRun&) = delete;
  TrainingRun& operator=(const TrainingRun&) = delete;

  // Makes and locks the folder, takes over its checkpoint, writes config.json, and reads all data once: a bad file ends
  // a run now and not in an hour; what fits stays in memory. Once. Throws also Error{output}, Error{interrupted}.
  TrainingStart begin();
  // Trains to the last epoch, once, after a begin() that succeeded. Throws what nn::Trainer::run does; the folder is
  // then one to go on with.
  TrainingResult train();

  // As they were settled.
  const TrainingOptions& options() const;

 private:
  struct State;
  void resume();
  void read_data();
  void on_epoch(const nn::Table& metrics, bool best);
  void save_best(const nn::Table& metrics) const;

  RunLock lock_;
  TrainingEvents events_;
  std::unique_ptr<State> state_;
};

}  // namespace lgms
