#pragma once
// The `last` checkpoint of a run: everything needed to go on as if it had never stopped.
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "core/named_tensor.h"

namespace lgms::nn {

// Where a run stands.
struct Progress {
  int64_t epoch = 0;    // finished epochs
  int64_t batch = 0;    // finished batches of the one after
  int64_t step = 0;     // finished steps in all
  double loss_sum = 0;  // of the batches of the running epoch
  double best = -1;     // the best score so far, and the epoch (from 1) that it belongs to
  int64_t best_epoch = 0;
  friend bool operator==(const Progress&, const Progress&) = default;
};

// What must not change between a run and its continuation, by name: {"seed", "0"}, {"rate", "0.02"}, ...
using Settings = std::vector<std::pair<std::string, std::string>>;

struct Checkpoint {
  Progress progress;
  Settings settings;
  std::string isa;
  NamedTensors weights, optimiser;
};

// The shortest text that reads back as the same number.
std::string exact_text(double value);

// Writes a safetensors file: weights under their names, the optimiser's state under its own ("optimizer.*"), the rest
// in the metadata. The file appears when it is complete. Throws Error{internal} where a number is not finite, and then
// leaves what was there; Error{output} where it cannot be written.
void save_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);
// Throws Error{model} naming the file where it is not such a checkpoint.
Checkpoint load_checkpoint(const std::filesystem::path& path);

// Throws Error{usage} naming the first setting that differs, with both values.
void check_settings(const Settings& saved, const Settings& now, const std::string& source);

// 64-bit FNV-1a of the lines, as 16 hexadecimal digits: tells lists apart, guards against nothing.
std::string hash_of(const std::vector<std::string>& lines);

}  // namespace lgms::nn
