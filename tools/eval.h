#pragma once
// lgmsnet eval: what its two halves share.
#include <string>

#include "lgmsnet/model_file.h"
#include "tools/session.h"

namespace lgms::tools {

struct EvalArguments {
  std::string model, data, list = "val.txt", recipe;
  bool json = false;
  Machine machine;
  // pictures
  double threshold = -1;
  int mask_threshold = -1, white = -1;
  bool network_size = false;
  // volumes
  std::string predictions, empty_policy = "exclude", out;
  double tolerance = 1;
  int64_t worst = 5;
};

// Scores label files (arguments.predictions), or what a 3D model makes of the images.
void eval_label_files(const EvalArguments& arguments);
void eval_volume_model(const EvalArguments& arguments, ModelFile file);

}  // namespace lgms::tools
