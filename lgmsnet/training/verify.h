#pragma once
// The engine against a golden file: a network, an input and everything that an independent implementation (PyTorch in
// double) computed from them. tests/oracle/make_golden.py writes such files and states the rule of comparison.
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/io/safetensors.h"

namespace lgms {

// The weights that a golden file starts from, under their checkpoint names.
NamedTensors weights_of(const io::Safetensors& golden);

// One tensor of the file compared.
struct VerifyRow {
  std::string name;
  bool absent = false;  // a group that the file does not hold, "train.grad.*" say
  double error = 0;     // f64: max|a-b| / max(max|b|, 1e-3 G); f32: max|a-b|
  double bound = 0;     // what error may be
  std::string where;    // index of the largest error, PyTorch's order, e.g. "[0, 3, 17, 2]"
  bool passed = true;
};

struct VerifyReport {
  std::string config;
  std::vector<VerifyRow> rows;
  bool passed() const;
};

// Runs the network of the file in dtype (f32 or f64): evaluation, the first training step with all gradients, and all
// optimiser steps, as far as the file holds them. Throws Error{model} where the file is not a golden file.
//   f64: max|a-b| / max(max|b|, 1e-3 G) <= 1e-9, plus 2^-24 where the stored tensor is float32; G: the largest
//   magnitude
//        among all train.grad.* (0 for other tensors)
//   f32: max|a-b| <= 8 spread.NAME + 2^-18 max|b|
//   integers are equal.
VerifyReport verify(const std::string& path, DType dtype);
// The same for the logits of the plan that inference runs on (lgmsnet/plan.h), in f32.
VerifyReport verify_plan(const std::string& path);

}  // namespace lgms
