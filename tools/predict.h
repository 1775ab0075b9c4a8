#pragma once
// lgmsnet predict: what its two halves share.
#include <cstdint>
#include <string>
#include <vector>

#include "lgmsnet/model_file.h"
#include "tools/session.h"

namespace lgms::tools {

struct PredictArguments {
  std::string model, out, recipe;
  std::vector<std::string> inputs;
  bool probabilities = false, overwrite = false;
  Machine machine;
  int64_t program_bytes = 0;  // memory of the process before anything was read
  // 2D
  double threshold = -1;
  int white = -1;
  bool overlay = false, native_size = false;
  // 3D
  std::vector<int64_t> patch;
  double overlap = -1, min_volume = 0;
  std::string blending;
  uint64_t max_memory = 0;
  bool mirror = false, keep_largest = false, statistics = false, preview = false, dry_run = false;
};

void predict_volumes(const PredictArguments& arguments, ModelFile file);

}  // namespace lgms::tools
