#pragma once
// What a plan does, for people: its steps, where their time goes, and a timeline.
#include <string>
#include <vector>

#include "core/io/json.h"
#include "core/tensor.h"
#include "lgmsnet/inference.h"

namespace lgms::tools {

// Every step with its row, work and places, and the memory of a run.
void print_plan(const Plan& plan, const std::vector<Tensor>& parameters);
io::Json plan_json(const Plan& plan, const std::vector<Tensor>& parameters);

// Runs x `runs` times and prints, for every step, the median of its milliseconds beside the least that this machine's
// roofs allow, which it measures; with several threads also what they gain over one. Then where the time above goes.
// trace: a file for all runs, of steps and of what every thread does in them, as chrome://tracing and Perfetto read it;
// empty: none. Returns what it printed as JSON instead, where json is true.
io::Json profile(const Inference& net, const Tensor& x, int runs, const std::string& trace, bool json);

}  // namespace lgms::tools
