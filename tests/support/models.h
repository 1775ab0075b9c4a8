#pragma once
#include "lgmsnet/model_file.h"
#include "lgmsnet/training/lgmsnet.h"

namespace lgms::testing {

// A 2D model of one class and small pictures that has learnt nothing, the same every time.
inline ModelFile untrained() {
  ModelFile model;
  model.recipe.size = {32, 32};
  model.classes = {"nucleus"};
  model.training = "{}";
  model.tensors = LGMSNet(model.config, 3).store().tensors();
  return model;
}

}  // namespace lgms::testing
