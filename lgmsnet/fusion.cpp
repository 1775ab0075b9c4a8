#include "lgmsnet/fusion.h"

#include <algorithm>
#include <utility>

namespace lgms {
namespace {

bool convolves(const Step& step) {
  return step.op == Op::convolution || step.op == Op::linear || step.op == Op::depthwise ||
         step.op == Op::up_convolution || step.op == Op::pointwise_pair;
}

// Whether it is a matrix product of every pixel.
bool is_pointwise(const Step& step) {
  return (step.op == Op::convolution || step.op == Op::linear) && step.k == 1 && step.groups == 1;
}

// Makes `next`, the step after it, a part of `step`; false where that is not all of it.
bool take(Step& step, Step& next, bool own) {
  Epilogue<std::optional<int>>& e = step.epilogue;
  const bool bare = e.after == Activation::none && !e.norm && !e.residual;
  const int y = step.output;
  if (step.op == Op::upsample) {
    if (next.op != Op::convolution || next.k != 3 || next.groups != 1) return false;
    next.op = Op::up_convolution;
    next.inputs = step.inputs;
    next.upsample_macs = step.upsample_macs;
    step = next;
    return true;
  }
  if (own && is_pointwise(step) && is_pointwise(next)) {
    if (e.residual) return false;
    step.op = Op::pointwise_pair;
    step.between = std::exchange(e, {});
    step.second = step.parameters.size();
    step.parameters.insert(step.parameters.end(), next.parameters.begin(), next.parameters.end());
    step.macs += next.macs;
    step.output = next.output;
    return true;
  }
  if (next.op == Op::batch_norm && bare && next.inputs[0] == y) {
    e = next.epilogue;
    e.norm = static_cast<int>(step.parameters.size());
    step.inputs.insert(step.inputs.end(), next.inputs.begin() + 1, next.inputs.end());
    step.parameters.insert(step.parameters.end(), next.parameters.begin(), next.parameters.end());
  } else if (next.op == Op::activation && bare) {
    e.after = next.epilogue.after;
  } else if (next.op == Op::add && !e.residual && next.inputs[0] != next.inputs[1]) {
    e.residual = next.inputs[next.inputs[0] == y ? 1 : 0];
    step.inputs.push_back(*e.residual);
  } else {
    if (next.op == Op::instance_norm && bare && (step.op == Op::convolution || step.op == Op::up_convolution)) {
      e.after = std::exchange(next.epilogue.before, Activation::none);
      step.moments = true;
    }
    return false;
  }
  step.output = next.output;
  return true;
}

// Leaves a norm whose statistics are there to the convolution that reads it.
void read_through(Steps& list, Step& norm, Step& reader) {
  const Shape& x = list.shape_of(norm.inputs[0]);
  const int tables = static_cast<int>(list.values.size());
  list.values.push_back({{x[0], 3, x.channels()}, tables});
  reader.prologue = norm.epilogue;
  reader.prologue.norm = tables;
  reader.inputs = norm.inputs;
  reader.inputs.push_back(tables);
  norm.op = Op::norm_tables;
  norm.epilogue = {};
  norm.inputs.resize(1);
  norm.output = tables;
}

// Lets the parts of a concat be written where they end up. Only the sums of a norm have other bits on rows that are not
// dense, which are not joined (channel_norm/walk.h).
void place_parts(Steps& list, const Step& concat) {
  int64_t first = 0;
  for (const int part : concat.inputs) {
    const StepValue& value = list.values[static_cast<size_t>(part)];
    const int64_t channel = first;
    first += value.shape.channels();
    if (value.storage != part || part == list.input) continue;
    const auto sums = [&](const Step& s) {
      return s.is_norm() && list.values[static_cast<size_t>(s.inputs[0])].storage == part;
    };
    if (std::any_of(list.steps.begin(), list.steps.end(), sums)) continue;
    for (StepValue& v : list.values)
      if (v.storage == part) {
        v.storage = concat.output;
        v.first += channel;
      }
  }
}

}  // namespace

void fuse(Steps& list, bool own) {
  const auto storage_of = [&](int v) { return static_cast<size_t>(list.values[static_cast<size_t>(v)].storage); };
  std::vector<int> reads(list.values.size());  // of a storage
  for (const Step& step : list.steps)
    for (const int v : step.inputs) ++reads[storage_of(v)];
  std::vector<Step> steps;
  for (Step& next : list.steps) {
    if (!steps.empty()) {
      Step& last = steps.back();
      if ((convolves(last) || (own && last.op == Op::upsample)) && last.output != list.output &&
          reads[static_cast<size_t>(last.output)] == 1 &&
          std::find(next.inputs.begin(), next.inputs.end(), last.output) != next.inputs.end() && take(last, next, own))
        continue;
    }
    steps.push_back(std::move(next));
  }
  list.steps = std::move(steps);
  for (size_t i = 1; i < list.steps.size(); ++i) {
    Step& norm = list.steps[i];
    if (!list.steps[i - 1].moments || reads[static_cast<size_t>(norm.output)] != 1) continue;
    for (Step& reader : list.steps)
      if (reader.inputs[0] == norm.output && reader.k == 1 && reader.op == Op::convolution && reader.inputs.size() == 1)
        read_through(list, norm, reader);
  }
  for (const Step& step : list.steps)
    if (step.op == Op::concat) place_parts(list, step);
  std::erase_if(list.steps, [&](const Step& step) {
    const auto there = [&](int v) { return storage_of(v) == storage_of(step.output); };
    return step.op == Op::concat && std::all_of(step.inputs.begin(), step.inputs.end(), there);
  });
}

}  // namespace lgms
