// lgmsnet bench: the time and memory of the whole network. bench/compare.py drives it in turns with other engines.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>

#include "autograd/ops.h"
#include "core/error.h"
#include "core/io/json.h"
#include "core/io/safetensors.h"
#include "core/process_memory.h"
#include "core/rng.h"
#include "core/step_memory.h"
#include "core/transform/layout.h"
#include "lgmsnet/model_file.h"
#include "lgmsnet/training/lgmsnet.h"
#include "lgmsnet/training/verify.h"
#include "nn/optimizer.h"
#include "tools/plan_report.h"
#include "tools/printing.h"
#include "tools/session.h"
#include "tools/verbs.h"

namespace lgms::tools {
namespace {

struct Arguments {
  std::string file, config = "2d", outputs, trace;
  int64_t size = 0, batch = 1;
  int runs = 20;
  bool train = false, checkpointing = false, profile = false, json = false, interactive = false;
  Machine machine;
};

constexpr int kWarmUp = 3;
constexpr int kMostTraced = 100;  // runs: some 120 MB of spans and text
constexpr double kMiB = 1 << 20;

// A network with something to compute.
class Workload {
 public:
  // A golden file: its weights, input and target.
  explicit Workload(const io::Safetensors& file, const std::string& path)
      : net_(Config::from_json(file.metadata.contains("config") ? file.metadata.at("config") : "", path),
             weights_of(file), path) {
    const Tensor *input = file.find("input"), *target = file.find("target");
    check(input && target && input->numel() > 0, ErrorKind::model, "[", path,
          "] expected the tensors input and target");
    input_ = transform::to_channels_last(*input).to(DType::f32);
    target_ = net_.config().rank == 2 ? transform::to_channels_last(*target).to(DType::f32) : *target;
  }

  // Fresh weights and random numbers.
  Workload(const Config& config, int64_t batch, int64_t size) : net_(config) {
    const int64_t depth = config.rank == 2 ? 1 : size;
    Rng rng(0, Purpose::test);
    input_ = Tensor::empty({batch, depth, size, size, config.in_channels});
    for (float& x : input_.span<float>()) x = static_cast<float>(rng.normal());
    if (config.rank == 2) {
      target_ = Tensor::empty({batch, depth, size, size, config.classes});
      for (float& t : target_.span<float>()) t = static_cast<float>(rng.below(2));
    } else {
      target_ = Tensor::empty({batch, depth, size, size}, DType::i64);
      for (int64_t& t : target_.span<int64_t>()) t = rng.below(static_cast<uint32_t>(config.classes));
    }
  }

  // Logits of an inference, or logits and loss of a training step that is no StepMemory's: they may outlive it.
  NamedTensors outputs(const Arguments& a) {
    if (!a.train) return {{"logits", inference_.forward(input_)}};
    const bool flat = net_.config().rank == 2;
    if (!optimizer_ && flat) optimizer_.emplace(net_.store(), kernels::Sgd{});
    if (!optimizer_) optimizer_.emplace(net_.store(), kernels::AdamW{.weight_decay = 1e-5});
    const autograd::Variable logits = net_.forward(input_, true, {}, a.checkpointing);
    const autograd::Variable loss =
        flat ? autograd::bce_dice_loss(logits, target_) : autograd::dice_ce_loss(logits, target_);
    autograd::backward(loss);
    optimizer_->step(flat ? 0.02 : 1e-3);
    net_.store().clear_grads();
    return {{"logits", logits.value()}, {"loss", loss.value().reshaped({})}};
  }

  void run(const Arguments& a) {
    if (!a.train) {
      outputs(a);
      return;
    }
    const StepMemory::Step step(memory_, input_.shape());
    outputs(a);
  }

  int rank() const { return net_.config().rank; }
  const Shape& shape() const { return input_.shape(); }
  void profile(const Arguments& a) const {
    const Profile profile = profile_of(inference_, input_, a.runs, a.trace);
    if (a.json)
      std::printf("%s\n", profile_json(profile, inference_.parameters()).dump(2).c_str());
    else
      print_profile(profile);
  }

 private:
  LGMSNet net_;
  Inference inference_ = net_.inference();
  std::optional<nn::Optimizer> optimizer_;  // an inference has none
  Tensor input_, target_;
  std::shared_ptr<StepMemory> memory_ = std::make_shared<StepMemory>(Context::current().allocator());
};

double timed(Workload& workload, const Arguments& a) {
  const auto start = std::chrono::steady_clock::now();
  workload.run(a);
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

void write_outputs(const std::string& path, NamedTensors outputs, int rank) {
  for (NamedTensor& t : outputs)
    if (t.name == "logits") t.tensor = transform::to_channels_first(t.tensor, rank);
  io::write_safetensors(path, outputs);
}

io::Json report_of(std::vector<double> samples, const Workload& workload, const Arguments& a) {
  const Context& context = Context::current();
  io::Json report = io::Json::object({{"what", !a.train          ? "inference"
                                               : a.checkpointing ? "training step with checkpointing"
                                                                 : "training step"},
                                      {"input", text(workload.shape())},
                                      {"threads", context.threads()},
                                      {"isa", name_of(context.isa())},
                                      {"provider", name_of(context.provider())},
                                      {"precision", name_of(context.precision())},
                                      {"cpu", cpu_name()},
                                      {"samples_ms", samples}});
  std::sort(samples.begin(), samples.end());
  if (!samples.empty()) {
    report["median_ms"] = median(samples);
    report["min_ms"] = samples.front();
    report["max_ms"] = samples.back();
  }
  report["peak_tensors_mib"] = static_cast<double>(context.allocator()->peak()) / kMiB;
  report["peak_mib"] = static_cast<double>(process_memory().peak) / kMiB;
  return report;
}

void print(const io::Json& r) {
  const auto word = [&](const char* key) { return r.find(key)->string(); };
  const auto number = [&](const char* key) { return r.find(key)->number(); };
  std::printf("%s, %s, -t %.0f, %s, %s\n", word("what").c_str(), word("input").c_str(), number("threads"),
              Context::current().arithmetic().c_str(), word("cpu").c_str());
  std::printf("median %.1f ms (%.1f to %.1f, %zu runs), tensors %.0f MiB, process %.0f MiB\n", number("median_ms"),
              number("min_ms"), number("max_ms"), r.find("samples_ms")->size(), number("peak_tensors_mib"),
              number("peak_mib"));
}

void bench(const Arguments& a) {
  Session session(a.machine);
  const Config config = Config::named(a.config);
  const int64_t size = a.size > 0 ? a.size : config.rank == 3 ? 96 : 256;
  check(size % 32 == 0, ErrorKind::usage, "[bench] --size: expected a multiple of 32, got ", size);
  std::optional<Workload> workload;
  if (a.file.empty())
    workload.emplace(config, a.batch, size);
  else
    about_model(a.file, [&] { workload.emplace(io::read_safetensors(a.file), a.file); });

  // Finds out whether input and target fit the network.
  NamedTensors first =
      a.file.empty() ? workload->outputs(a) : about_model(a.file, [&] { return workload->outputs(a); });
  if (!a.outputs.empty()) write_outputs(a.outputs, std::move(first), workload->rank());
  first.clear();
  if (a.profile || !a.trace.empty()) { return workload->profile(a); }
  for (int i = 0; i < kWarmUp; ++i) workload->run(a);

  std::vector<double> samples;
  if (a.interactive) {  // a run and its milliseconds for every line read
    std::printf("ready\n");
    std::fflush(stdout);
    for (std::string line; std::getline(std::cin, line);) {
      session.stop_if_asked("its input is still open");
      samples.push_back(timed(*workload, a));
      std::printf("%.4f\n", samples.back());
      std::fflush(stdout);
    }
  } else {
    for (int i = 0; i < a.runs; ++i) {
      session.stop_if_asked(text("measured ", i, " of ", a.runs, " runs"));
      samples.push_back(timed(*workload, a));
    }
  }
  const io::Json report = report_of(samples, *workload, a);
  if (a.interactive || a.json)
    std::printf("%s\n", report.dump(a.interactive ? -1 : 2).c_str());
  else
    print(report);
}

}  // namespace

void add_bench(CommandLine& program) {
  const Verb verb = program.add_verb("bench", "Measure an inference or a training step of the whole network");
  auto a = std::make_shared<Arguments>();
  verb.add("file", a->file, "Golden file with weights, input and target; default: fresh weights, random input");
  verb.add("--config", a->config, "Without a file: 2d, 3d, 3d-l0, 3d-l1 or 3d-l2").shows_default();
  verb.add("--size", a->size, "Without a file: every side of the input, a multiple of 32; default: 256, 3D: 96")
      .range(32, 4096);
  verb.add("--batch", a->batch, "Without a file: images in the input").range(1, 1024).shows_default();
  verb.add_flag("--train", a->train, "A training step: forward, loss, backward, optimiser (2D: SGD, 3D: AdamW)");
  verb.add_flag("--checkpointing", a->checkpointing, "With --train: less memory, more time");
  verb.add("--runs", a->runs, "Measured runs").range(1, 100000).shows_default();
  verb.add_flag("--profile", a->profile, "Time every step, beside what this machine could do, which is measured too");
  verb.add("--trace", a->trace, "The same; and write a timeline (JSON) that Perfetto and chrome://tracing open");
  verb.add_flag("--json", a->json, "Print JSON, with all samples");
  verb.add("--outputs", a->outputs, "Write the outputs of the first run (safetensors)");
  verb.add_flag("--interactive", a->interactive, "Print \"ready\", then make one run per line of standard input");
  add_machine(verb, a->machine);
  add_precision(verb, a->machine);
  add_small(verb, a->machine);
  verb.action([a, verb] {
    if (!a->file.empty()) verb.refuse({"--config", "--size", "--batch"}, "is the file's; leave it out");
    if (!a->train) verb.refuse({"--checkpointing"}, "is for --train");
    if (a->train) verb.refuse({"--precision", "--small"}, "is for inference");
    check(a->trace.empty() || a->runs <= kMostTraced, ErrorKind::usage, "[bench] --runs: expected at most ",
          kMostTraced, " with --trace, which keeps all they do, got ", a->runs);
    if (a->train || a->interactive) verb.refuse({"--profile", "--trace"}, "is for inference, without --interactive");
    bench(*a);
  });
}

}  // namespace lgms::tools
