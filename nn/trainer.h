#pragma once
// The training loop: epochs of batches, a checkpoint whenever one is due, a table of scores. It knows nothing of the
// network but the functions it is handed, prints nothing, and owns nothing but where the run stands.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "autograd/variable.h"
#include "core/step_memory.h"
#include "nn/checkpoint.h"
#include "nn/data/loader.h"
#include "nn/optimizer.h"
#include "nn/parameters.h"
#include "nn/table.h"

namespace lgms::nn {

using Forward = std::function<autograd::Variable(const Tensor& images, bool training)>;
using Loss = std::function<autograd::Variable(const autograd::Variable& output, const Tensor& target)>;
using NamedScores = std::vector<std::pair<std::string, double>>;

// What is trained, on what, and how it is judged. References must outlive the trainer.
struct Task {
  ParameterStore& store;
  Optimizer& optimizer;
  const Dataset& data;
  Prepare prepare;
  Forward forward;
  Loss loss;
  std::function<double(int64_t step)> rate;  // of step 0, 1, ...
  std::function<NamedScores()> validate;     // always the same names; called after epochs
};

// What a step tells whoever watches.
struct StepReport {
  int64_t epoch, epochs, batch, batches;  // from 1
  double loss;                            // mean over the batches of the epoch so far
  double images_per_second, waiting;      // of this session; waiting: share of the time spent waiting for data, 0..1
  double seconds_left;                    // to the end of the run, validation included
};

struct TrainerOptions {
  int64_t epochs = 100, batch = 8;
  int64_t crops = 1;           // of every example in an epoch, see LoaderOptions
  int64_t accumulate = 1;      // parts that a batch is cut into; their gradients add up to those of the whole batch
                               // (but for batch norms, whose statistics are those of a part)
  int64_t validate_every = 1;  // epochs; the last one is always validated. Others have no row in the metrics
  uint64_t seed = 0;
  std::filesystem::path folder;  // gets metrics.csv and last.safetensors; must exist
  std::string best_by;           // the score, 0 to 1, that names the best epoch: the first with the largest value
  Settings settings;             // kept in the checkpoint and compared on resume
  Settings older;                // what checkpoints of older programs, which lack them, were made with
  bool allow_drift = false;      // resume a run of another instruction set
};

class Trainer {
 public:
  Trainer(Task task, TrainerOptions options) : task_(std::move(task)), options_(std::move(options)) {}

  std::function<void(const StepReport&)> on_step;
  // After each validation: the table so far, whose last row is the epoch's, and whether it is the best so far. The best
  // weights are the store's at this moment.
  std::function<void(const Table& metrics, bool best)> on_epoch;

  std::filesystem::path checkpoint_path() const { return options_.folder / "last.safetensors"; }

  // Takes over the state of last.safetensors, and of metrics.csv what belongs to it. Throws what load_checkpoint,
  // check_settings and check_progress throw; Error{usage} where the instruction set is another one and drift is not
  // allowed; Error{data} naming the line where metrics.csv is not the table of this run, or lacks a row.
  void resume() { resume(load_checkpoint(checkpoint_path())); }
  void resume(const Checkpoint& saved);
  // Trains to the last epoch. Writes last.safetensors at the start, after every epoch, and before it throws
  // Error{interrupted} because the context's stop token was set. Throws Error{internal} naming the step where the loss
  // is not finite, Error{usage} where best_by is no score of validation; last.safetensors then is the one before.
  void run();

  const Progress& progress() const { return at_; }
  int64_t batches() const { return batches_of(task_.data.size() * options_.crops, options_.batch); }

 private:
  Course course() const { return {options_.epochs, batches(), options_.validate_every}; }
  void read_metrics();
  void train_epoch(const std::shared_ptr<StepMemory>& memory);
  double train_step(const Batch& batch, const std::shared_ptr<StepMemory>& memory);
  void expect_finite(double loss) const;
  void finish_epoch();
  void report(double waited) const;
  void save() const;
  void stop_if_asked() const;
  void stoppable(const std::function<void()>& f) const;  // f(), which may end early with Error{interrupted} itself

  Task task_;
  TrainerOptions options_;
  Progress at_;
  Table metrics_;
  // Of this session only: what the report is made of.
  double started_ = 0, waited_ = 0;
  int64_t session_steps_ = 0, session_images_ = 0;
};

// Mean scores of a network with independent sigmoids on a data set, on the grid of its inputs, in evaluation mode:
// "val_loss"; "val_dice" and "val_iou", per image and class as nn::scores has them (1 where truth and prediction are
// both empty), logits above 0 being foreground. on_batch is called between batches.
NamedScores validate_masks(const Forward& forward, const Loss& loss, const Dataset& data, const Prepare& prepare,
                           int64_t batch, const std::function<void(int64_t done, int64_t batches)>& on_batch = {});

}  // namespace lgms::nn
