#include "autograd/gradcheck.h"

#include <cstdio>
#include <functional>
#include <iostream>
#include <memory>

#include "autograd/ops.h"
#include "core/error.h"
#include "core/io/json.h"
#include "core/rng.h"
#include "tools/session.h"
#include "tools/verbs.h"

namespace lgms::tools {
namespace {

using namespace autograd;
using Inputs = std::vector<Variable>;

struct Case {
  const char* name;
  std::function<Variable(Inputs&)> f;
  std::vector<Shape> inputs;
};

// Standard normals.
Tensor random(const Shape& shape, uint64_t seed) {
  Tensor t = Tensor::empty(shape, DType::f64);
  Rng rng(seed, Purpose::test);
  for (double& v : t.span<double>()) v = rng.normal();
  return t;
}

Tensor random_target(const Shape& shape) {
  Tensor t = Tensor::empty(shape, DType::f64);
  Rng rng(77, Purpose::test);
  for (double& v : t.span<double>()) v = rng.below(2);
  return t;
}

Tensor random_labels(const Shape& shape, uint32_t classes) {
  Tensor t = Tensor::empty(shape, DType::i64);
  Rng rng(78, Purpose::test);
  for (int64_t& v : t.span<int64_t>()) v = rng.below(classes);
  return t;
}

RunningStatistics statistics(int64_t c) {
  return {Tensor::zeros({c}, DType::f64), Tensor::full({c}, 1, DType::f64), Tensor::zeros({}, DType::i64)};
}

std::vector<Case> cases() {
  const Shape image{2, 1, 4, 6, 8}, volume{1, 4, 2, 6, 8};
  const auto multiscale = [](Inputs& v) {
    return multiscale_depthwise(v[0], {v[1], v[3], v[5], v[7]}, {v[2], v[4], v[6], v[8]}, true);
  };
  return {
      {"convolution 2d", [](Inputs& v) { return convolution(v[0], v[1], v[2], 2); }, {image, {6, 4, 3, 3}, {6}}},
      {"convolution 3d", [](Inputs& v) { return convolution(v[0], v[1], v[2], 2); }, {volume, {6, 4, 3, 3, 3}, {6}}},
      {"linear", [](Inputs& v) { return linear(v[0], v[1], v[2]); }, {image, {5, 8}, {5}}},
      {"depthwise 2d", [](Inputs& v) { return depthwise(v[0], v[1], {}); }, {image, {8, 1, 3, 3}}},
      {"depthwise 3d", [](Inputs& v) { return depthwise(v[0], v[1], {}); }, {volume, {8, 1, 3, 3, 3}}},
      {"multiscale_depthwise 2d",
       multiscale,
       {image, {2, 1, 3, 3}, {2}, {2, 1, 5, 5}, {2}, {2, 1, 7, 7}, {2}, {2, 1, 9, 9}, {2}}},
      {"multiscale_depthwise 3d",
       multiscale,
       {volume, {2, 1, 3, 3, 3}, {2}, {2, 1, 5, 5, 5}, {2}, {2, 1, 7, 7, 7}, {2}, {2, 1, 9, 9, 9}, {2}}},
      {"attention 2d", [](Inputs& v) { return attention(v[0], 2, 2); }, {{2, 1, 4, 6, 48}}},
      {"attention 3d", [](Inputs& v) { return attention(v[0], 2, 3); }, {{1, 4, 2, 6, 48}}},
      {"batch_norm training, relu, residual",
       [](Inputs& v) {
         return batch_norm(v[0], v[1], v[2], statistics(8), true, {.after = Activation::relu, .residual = v[3]});
       },
       {image, {8}, {8}, image}},
      {"batch_norm training, after gelu",
       [](Inputs& v) { return batch_norm(v[0], v[1], v[2], statistics(8), true, {.before = Activation::gelu}); },
       {image, {8}, {8}}},
      {"batch_norm evaluation, silu",
       [](Inputs& v) { return batch_norm(v[0], v[1], v[2], statistics(8), false, {.after = Activation::silu}); },
       {image, {8}, {8}}},
      {"instance_norm, silu", [](Inputs& v) { return instance_norm(v[0], {.after = Activation::silu}); }, {volume}},
      {"group_norm, gelu",
       [](Inputs& v) { return group_norm(v[0], v[1], v[2], 4, {.after = Activation::gelu}); },
       {image, {8}, {8}}},
      {"layer_norm", [](Inputs& v) { return layer_norm(v[0], v[1], v[2]); }, {image, {8}, {8}}},
      {"relu", [](Inputs& v) { return activation(v[0], Activation::relu); }, {image}},
      {"silu", [](Inputs& v) { return activation(v[0], Activation::silu); }, {image}},
      {"gelu", [](Inputs& v) { return activation(v[0], Activation::gelu); }, {image}},
      {"add", [](Inputs& v) { return add(v[0], v[1]); }, {image, image}},
      {"concat, split",
       [](Inputs& v) {
         const Variable wide = concat(std::vector<Variable>{v[0], v[1]});
         return add(split(wide, 0, 8), split(wide, 8, 8));
       },
       {image, image}},
      {"upsample 2d", [](Inputs& v) { return upsample(v[0], 2); }, {image}},
      {"upsample 3d", [](Inputs& v) { return upsample(v[0], 3); }, {volume}},
      {"max_pool 2d", [](Inputs& v) { return max_pool(v[0], 2); }, {image}},
      {"max_pool 3d", [](Inputs& v) { return max_pool(v[0], 3); }, {volume}},
      {"bce_dice_loss",
       [](Inputs& v) {
         return bce_dice_loss(v[0], random_target({2, 1, 4, 6, 2}));
       },
       {{2, 1, 4, 6, 2}}},
      {"dice_ce_loss",
       [](Inputs& v) {
         return dice_ce_loss(v[0], random_labels({2, 2, 4, 6}, 3));
       },
       {{2, 2, 4, 6, 3}}},
  };
}

void run(double tolerance, bool json, const Machine& machine) {
  const Session session(machine);
  io::Json rows = io::Json::array();
  int failed = 0;
  if (!json) std::printf("%-40s %12s  %s\n", "op", "error", "verdict");
  for (const Case& c : cases()) {
    std::vector<Tensor> inputs;
    for (size_t i = 0; i < c.inputs.size(); ++i) inputs.push_back(random(c.inputs[i], i + 1));
    const GradcheckResult result = gradcheck(c.f, inputs);
    const bool ok = result.error <= tolerance;
    failed += !ok;
    rows.push_back(io::Json::object({{"op", c.name},
                                     {"error", result.error},
                                     {"input", result.input},
                                     {"element", result.element},
                                     {"passed", ok}}));
    if (!json)
      std::printf("%-40s %12.3e  %s\n", c.name, result.error,
                  ok ? "ok" : text("FAILED at input ", result.input, ", element ", result.element).c_str());
  }
  if (json) std::cout << rows.dump(1) << '\n';
  std::fflush(stdout);
  check(failed == 0, ErrorKind::check_failed, "[gradcheck] ", failed,
        " ops differ from central differences by more than ", tolerance);
}

}  // namespace

void add_gradcheck(CommandLine& program) {
  struct Options {
    double tolerance = 1e-6;
    bool json = false;
    Machine machine;
  };
  auto o = std::make_shared<Options>();
  const Verb verb = program.add_verb("gradcheck", "Every op's gradient against central differences in double");
  verb.add("--tolerance", o->tolerance, "largest |analytic - numeric| / max(1, |analytic|, |numeric|)")
      .range(0.0, 1.0)
      .shows_default();
  verb.add_flag("--json", o->json, "print JSON");
  add_machine(verb, o->machine);
  verb.action([o] { run(o->tolerance, o->json, o->machine); });
}

}  // namespace lgms::tools
