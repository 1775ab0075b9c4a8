#include "tools/plan_report.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <optional>

#include "core/error.h"
#include "core/io/output_file.h"
#include "core/thread_pool.h"
#include "tools/printing.h"

namespace lgms::tools {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kMiB = 1 << 20;

std::string name_of_step(const Step& step) { return step.scope.empty() ? step.stage : step.scope; }

// Where the output of a step lies; no bytes where it is not stored.
struct Slot {
  int64_t first, bytes;
};
Slot slot_of(const Plan& plan, const Step& step) {
  const StepValue& value = plan.steps().values[static_cast<size_t>(step.output)];
  const Shape& whole = plan.steps().shape_of(value.storage);
  const int64_t at = plan.arena().values[static_cast<size_t>(value.storage)];
  return at < 0 ? Slot{0, 0} : Slot{at, whole.numel() * size_of(DType::f32)};
}

int64_t bytes_of(const std::vector<Tensor>& parameters) {
  int64_t sum = 0;
  for (const Tensor& p : parameters) sum += p.numel() * size_of(p.dtype());
  return sum;
}

// What a worker did for a step in one of its parallel regions; worker -1: the step itself.
struct Span {
  int run, worker;
  size_t step;
  Clock::time_point from, to;
};

double milliseconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

// Runs of a plan in a context of its own, with the instruction set and the provider of `like`, whose every step is
// timed; spans: what the workers do too, by which every piece takes a little longer.
class Recorder {
 public:
  Recorder(const Inference& net, const Tensor& x, int threads, const Context& like, bool spans)
      : net_(net), x_(x), like_(like), records_(spans) {
    ContextOptions options{.threads = threads,
                           .isa = like.isa(),
                           .provider = like.provider(),
                           .precision = like.precision(),
                           .small = like.small()};
    if (spans) {
      pool_.emplace(threads);
      options.executor = [this](int64_t pieces, auto body) { region(pieces, body); };
    }
    context_.emplace(std::move(options));
  }

  void run(int runs) {
    const Context::Scope scope(*context_);
    const auto plan = net_.plan(x_.shape());
    const Tensor arena = Tensor::empty(Device::cpu, {plan->arena().bytes / int64_t{sizeof(float)}});
    plan->run(x_, arena);
    samples_.assign(plan->steps().steps.size(), {});
    for (run_ = 0; run_ < runs; ++run_) {
      check(!like_.stop().requested(), ErrorKind::interrupted, "interrupted; measured ", run_, " of ", runs, " runs");
      step_ = 0;
      const auto start = Clock::now();
      auto from = start;
      plan->run(x_, arena, [&](size_t step) {
        const auto now = Clock::now();
        samples_[step].push_back(milliseconds(from, now));
        if (records_) spans_.push_back({run_, -1, step, from, now});
        from = now;
        step_ = step + 1;
      });
      totals_.push_back(milliseconds(start, from));
    }
  }
  kernels::Roofline roofline() {
    const Context::Scope scope(*context_);
    return kernels::measure_roofline();
  }
  double of(size_t step) const { return median(samples_[step]); }
  double total() const { return median(totals_); }
  const std::vector<Span>& spans() const { return spans_; }

 private:
  void region(int64_t pieces, FunctionRef<void(int64_t, int)> body) {
    struct alignas(64) Busy {
      Clock::time_point from, to;
    };
    std::vector<Busy> busy(static_cast<size_t>(pool_->threads()));
    pool_->run(pieces, [&](int64_t piece, int worker) {
      Busy& b = busy[static_cast<size_t>(worker)];
      if (b.from == Clock::time_point()) b.from = Clock::now();
      body(piece, worker);
      b.to = Clock::now();
    });
    for (size_t w = 0; w < busy.size() && !samples_.empty(); ++w)
      if (busy[w].from != Clock::time_point())
        spans_.push_back({run_, static_cast<int>(w), step_, busy[w].from, busy[w].to});
  }

  const Inference& net_;
  const Tensor& x_;
  const Context& like_;
  bool records_;
  std::optional<ThreadPool> pool_;  // that of the context, where spans are recorded
  std::optional<Context> context_;
  std::vector<std::vector<double>> samples_;
  std::vector<double> totals_;
  std::vector<Span> spans_;
  int run_ = 0;
  size_t step_ = 0;
};

void write_trace(const std::string& path, const Plan& plan, const std::vector<Span>& spans) {
  io::Json events = io::Json::array();
  constexpr int steps = 1, first_worker = 2;  // tracks; Perfetto has another use for 0
  const auto name = [&](const char* what, int track, const std::string& is) {
    events.push_back(io::Json::object(
        {{"name", what}, {"ph", "M"}, {"pid", 1}, {"tid", track}, {"args", io::Json::object({{"name", is}})}}));
  };
  int workers = 0;
  Clock::time_point start = spans.empty() ? Clock::time_point() : spans.front().from;
  for (const Span& s : spans) {
    workers = std::max(workers, s.worker + 1);
    start = std::min(start, s.from);
  }
  name("process_name", steps, text("lgmsnet ", plan.input()));
  name("thread_name", steps, "steps");
  for (int w = 0; w < workers; ++w) name("thread_name", first_worker + w, text("thread ", w));
  for (const Span& s : spans) {
    const Step& step = plan.steps().steps[s.step];
    const StepWork work = plan.work_of(s.step);
    events.push_back(io::Json::object({{"name", s.worker < 0 ? step.fused_name() : step.name()},
                                       {"cat", step.stage},
                                       {"ph", "X"},
                                       {"pid", 1},
                                       {"tid", s.worker < 0 ? steps : first_worker + s.worker},
                                       {"ts", 1000 * milliseconds(start, s.from)},
                                       {"dur", 1000 * milliseconds(s.from, s.to)},
                                       {"args", io::Json::object({{"layer", name_of_step(step)},
                                                                  {"row", plan.row_of(s.step)},
                                                                  {"output", text(plan.steps().shape_of(step.output))},
                                                                  {"MFLOP", work.flop * 1e-6},
                                                                  {"MB", work.bytes * 1e-6},
                                                                  {"run", s.run}})}}));
  }
  io::write_file(path, io::Json::object({{"traceEvents", events}, {"displayTimeUnit", "ms"}}).dump() + "\n");
}

}  // namespace

void print_profile(const Profile& profile) {
  const Plan& plan = *profile.plan;
  const std::vector<Profile::Timed>& steps = profile.steps;
  std::printf("%-52s %-48s %-17s %9s %9s %8s %9s %6s%s\n", "layer", "step", "row", "ms", "GFLOP/s", "GB/s", "roof ms",
              "of it", profile.flops_gain > 0 ? "   gain" : "");
  struct Sum {
    double ms = 0, least = 0;
  };
  std::map<std::string, Sum> kinds;
  Sum all;
  for (size_t i = 0; i < steps.size(); ++i) {
    const Step& step = plan.steps().steps[i];
    const StepWork work = plan.work_of(i);
    const Profile::Timed& t = steps[i];
    std::printf("%-52s %-48s %-17s %9.3f %9.1f %8.1f %9.3f %5.0f%%", name_of_step(step).c_str(),
                step.fused_name().c_str(), plan.row_of(i), t.ms, work.flop / t.ms * 1e-6, work.bytes / t.ms * 1e-6,
                t.least, 100 * t.least / t.ms);
    if (profile.flops_gain > 0) std::printf(" %6.2f", t.thread_gain);
    std::printf("\n");
    for (Sum* sum : {&all, &kinds[text(step.name(), ", ", plan.row_of(i))]}) {
      sum->ms += t.ms;
      sum->least += t.least;
    }
  }
  std::printf("\n%-52s %9s %9s %9s %6s\n", "where the milliseconds above the roof go", "ms", "roof ms", "above",
              "share");
  std::vector<std::pair<std::string, Sum>> sorted(kinds.begin(), kinds.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const auto& a, const auto& b) { return a.second.ms - a.second.least > b.second.ms - b.second.least; });
  const double above = all.ms - all.least;
  for (const auto& [kind, sum] : sorted)
    std::printf("  %-50s %9.3f %9.3f %9.3f %5.0f%%\n", kind.c_str(), sum.ms, sum.least, sum.ms - sum.least,
                100 * (sum.ms - sum.least) / above);
  std::printf("  %-50s %9.3f %9.3f %9.3f\n", "all", all.ms, all.least, above);
  std::printf("\nmedian of a run      %.2f ms\n", profile.median_ms);
  std::printf("roofs, measured      %.1f GFLOP/s of f32 multiply-adds, %.1f GB/s copied (read and written)\n",
              profile.roof.flops * 1e-9, profile.roof.bytes * 1e-9);
  if (profile.roof.bf16_flops > 0)
    std::printf("                     %.1f GFLOP/s of bf16 multiply-adds\n", profile.roof.bf16_flops * 1e-9);
  if (profile.flops_gain > 0)
    std::printf("                     %.2f and %.2f times those of one thread\n", profile.flops_gain,
                profile.bytes_gain);
  std::printf(
      "A step's roof counts its inputs, weights and output once, and the products that its row does; no exp.\n");
}

void print_plan(const Plan& plan, const std::vector<Tensor>& parameters) {
  std::printf("%-52s %-48s %-17s %-24s %10s %8s %18s %9s\n", "layer", "step", "row", "output", "MFLOP", "MB",
              "arena MiB", "scratch");
  const Steps& list = plan.steps();
  double flop = 0, bytes = 0;
  for (size_t i = 0; i < list.steps.size(); ++i) {
    const Step& step = list.steps[i];
    const StepWork work = plan.work_of(i);
    const Slot slot = slot_of(plan, step);
    std::printf("%-52s %-48s %-17s %-24s %10.2f %8.2f %8.2f .. %6.2f %5.0f KiB\n", name_of_step(step).c_str(),
                step.fused_name().c_str(), plan.row_of(i), text(list.shape_of(step.output)).c_str(), work.flop * 1e-6,
                work.bytes * 1e-6, static_cast<double>(slot.first) / kMiB,
                static_cast<double>(slot.first + slot.bytes) / kMiB, static_cast<double>(plan.scratch_bytes(i)) / 1024);
    flop += work.flop;
    bytes += work.bytes;
  }
  std::printf("\nsteps             %zu, %.2f GFLOP, %.1f MB of inputs, outputs and weights\n", list.steps.size(),
              flop * 1e-9, bytes * 1e-6);
  std::printf("weights           %.2f MiB\n", static_cast<double>(bytes_of(parameters)) / kMiB);
  std::printf("packed weights    %.2f MiB, kept beside them\n", static_cast<double>(plan.packed().bytes()) / kMiB);
  std::printf("arena             %.2f MiB; what is alive at once is %.2f\n",
              static_cast<double>(plan.arena().bytes) / kMiB, static_cast<double>(plan.arena().least) / kMiB);
  std::printf("input             %.2f MiB\n", static_cast<double>(plan.input().numel() * size_of(DType::f32)) / kMiB);
}

io::Json plan_json(const Plan& plan, const std::vector<Tensor>& parameters) {
  io::Json steps = io::Json::array();
  for (size_t i = 0; i < plan.steps().steps.size(); ++i) {
    const Step& step = plan.steps().steps[i];
    const StepWork work = plan.work_of(i);
    const Slot slot = slot_of(plan, step);
    steps.push_back(io::Json::object({{"layer", name_of_step(step)},
                                      {"step", step.fused_name()},
                                      {"row", plan.row_of(i)},
                                      {"output", plan.steps().shape_of(step.output).extents()},
                                      {"flop", work.flop},
                                      {"bytes", work.bytes},
                                      {"arena_offset", slot.first},
                                      {"arena_bytes", slot.bytes},
                                      {"scratch_bytes", plan.scratch_bytes(i)}}));
  }
  return io::Json::object({{"input", plan.input().extents()},
                           {"weights_bytes", bytes_of(parameters)},
                           {"packed_bytes", plan.packed().bytes()},
                           {"arena_bytes", plan.arena().bytes},
                           {"alive_bytes", plan.arena().least},
                           {"steps", steps}});
}

Profile profile_of(const Inference& net, const Tensor& x, int runs, const std::string& trace) {
  const Context& context = Context::current();
  const int threads = context.threads();
  Recorder recorder(net, x, threads, context, !trace.empty());
  Profile profile{.plan = net.plan(x.shape()), .roof = recorder.roofline()};
  recorder.run(runs);
  profile.median_ms = recorder.total();
  if (!trace.empty()) write_trace(trace, *profile.plan, recorder.spans());
  std::optional<Recorder> alone;
  if (threads > 1) {
    alone.emplace(net, x, 1, context, false);
    const kernels::Roofline roof = alone->roofline();
    profile.flops_gain = profile.roof.flops / roof.flops;
    profile.bytes_gain = profile.roof.bytes / roof.bytes;
    alone->run(runs);
  }
  for (size_t i = 0; i < profile.plan->steps().steps.size(); ++i) {
    const StepWork work = profile.plan->work_of(i);
    profile.steps.push_back({recorder.of(i), 1000 * profile.roof.seconds(work.products, work.bytes, work.precision),
                             alone ? alone->of(i) / recorder.of(i) : 0});
  }
  return profile;
}

io::Json profile_json(const Profile& profile, const std::vector<Tensor>& parameters) {
  io::Json all = plan_json(*profile.plan, parameters);
  io::Json times = io::Json::array();
  for (const Profile::Timed& t : profile.steps)
    times.push_back(io::Json::object({{"ms", t.ms}, {"roof_ms", t.least}, {"thread_gain", t.thread_gain}}));
  all["times"] = times;
  all["median_ms"] = profile.median_ms;
  all["flops"] = profile.roof.flops;
  if (profile.roof.bf16_flops > 0) all["bf16_flops"] = profile.roof.bf16_flops;
  all["copy_bytes_per_s"] = profile.roof.bytes;
  all["flops_gain"] = profile.flops_gain;
  all["copy_gain"] = profile.bytes_gain;
  return all;
}

}  // namespace lgms::tools
