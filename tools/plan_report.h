#pragma once
// What a plan does, for people: its steps, where their time goes, and a timeline.
#include <memory>
#include <string>
#include <vector>

#include "core/io/json.h"
#include "core/tensor.h"
#include "kernels/roofline/roofline.h"
#include "lgmsnet/inference.h"

namespace lgms::tools {

// Every step with its row, work and places, and the memory of a run.
void print_plan(const Plan& plan, const std::vector<Tensor>& parameters);
io::Json plan_json(const Plan& plan, const std::vector<Tensor>& parameters);

// The times of a plan's steps beside what they could be.
struct Profile {
  struct Timed {
    double ms, least, thread_gain;  // the median; what the roofs allow; 0 with one thread
  };
  std::shared_ptr<const Plan> plan;
  std::vector<Timed> steps = {};
  double median_ms = 0;  // of a run
  kernels::Roofline roof;
  double flops_gain = 0, bytes_gain = 0;  // of the roofs over those of one thread; 0 with one thread
};
// Of `runs` runs of x, and with several threads of as many with one; the roofs are measured. trace: a file for the
// runs, of steps and of what every thread does in them, as chrome://tracing and Perfetto read it; empty: none.
Profile profile_of(const Inference& net, const Tensor& x, int runs, const std::string& trace);
// Every step, then where the time above the roofs goes.
void print_profile(const Profile& profile);
io::Json profile_json(const Profile& profile, const std::vector<Tensor>& parameters);

}  // namespace lgms::tools
