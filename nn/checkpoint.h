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
  double best = -1;     // the best score so far, 0 to 1, and the epoch (from 1) that it belongs to
  int64_t best_epoch = 0;
  friend bool operator==(const Progress&, const Progress&) = default;
};

// What a run will do.
struct Course {
  int64_t epochs = 100, batches = 1;  // batches: of an epoch
  int64_t validate_every = 1;         // epochs; the last one is always validated
  bool validates(int64_t epoch) const { return epoch % validate_every == 0 || epoch == epochs; }  // from 1
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
// in the metadata, which has a checksum of its own, "lgms.metadata_checksum" ("crc32:" and 8 hexadecimal digits, of all
// other keys and values but the tensors' checksum, each with a NUL behind it). The file appears when it is complete.
// Throws Error{internal} where a number is not finite, and then leaves what was there; Error{output} where it cannot be
// written.
void save_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);
// Throws Error{model} naming the file where it is not such a checkpoint, holds an entry that is not known here, or is
// damaged as far as checksums tell.
Checkpoint load_checkpoint(const std::filesystem::path& path);

// Throws Error{usage} naming the first setting that differs, with both values; Error{model} where one is not known, or
// not there.
void check_settings(const Settings& saved, const Settings& now, const std::string& source);
// Throws Error{model} naming the entry where no such run can stand there.
void check_progress(const Progress& at, const Course& course, const std::string& source);

// 64-bit FNV-1a of the lines, as 16 hexadecimal digits: tells lists apart, guards against nothing.
std::string hash_of(const std::vector<std::string>& lines);

}  // namespace lgms::nn
