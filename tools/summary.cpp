#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>

#include "core/error.h"
#include "core/io/json.h"
#include "lgmsnet/inference.h"
#include "lgmsnet/model_file.h"
#include "lgmsnet/steps.h"
#include "lgmsnet/training/lgmsnet.h"
#include "tools/plan_report.h"
#include "tools/session.h"
#include "tools/verbs.h"

namespace lgms::tools {
namespace {

struct Options {
  Machine machine;
  std::string config = "2d", model;
  std::vector<int64_t> size;
  int64_t batch = 1;
  bool json = false, plan = false;
};

Shape input_shape(const Options& o, const Config& config) {
  const size_t rank = static_cast<size_t>(config.rank);
  std::vector<int64_t> size = o.size.empty() ? std::vector<int64_t>{rank == 3 ? 96 : 256} : o.size;
  if (size.size() == 1) size.assign(rank, size[0]);
  check(size.size() == rank, ErrorKind::usage, "[--size] expected 1 or ", rank, " sides, got ", size.size());
  for (const int64_t side : size)
    check(side > 0 && side % 32 == 0, ErrorKind::usage, "[--size] expected multiples of 32, got ", side);
  return rank == 3 ? Shape{o.batch, size[0], size[1], size[2], config.in_channels}
                   : Shape{o.batch, 1, size[0], size[1], config.in_channels};
}

void print_table(const Steps& list, const Shape& input, const StepTotals& t) {
  std::printf("%-44s %-22s %-26s %12s %14s %10s\n", "layer", "op", "output", "parameters", "MACs", "MB");
  std::string stage;
  for (const Step& row : list.steps) {
    const Shape& output = list.shape_of(row.output);
    if (row.stage != stage) std::printf("%s\n", (stage = row.stage).c_str());
    std::printf("  %-42s %-22s %-26s %12ld %14ld %10.2f\n", row.scope.c_str(), row.name().c_str(), text(output).c_str(),
                static_cast<long>(row.trained_elements()),
                static_cast<long>(row.macs + row.attention_macs + row.upsample_macs),
                static_cast<double>(output.numel()) * 4e-6);
  }
  std::printf("\ninput                                  %s\n", text(input).c_str());
  std::printf("parameters                             %ld trained, %ld in running statistics\n",
              static_cast<long>(t.parameters), static_cast<long>(t.buffers));
  std::printf("GFLOP, convolutions and linear layers  %.3f   (2 per multiply-add)\n", t.gflop());
  std::printf("GFLOP, with attention and upsampling   %.2f\n", t.gflop_with_attention());
  std::printf("memory: parameters                     %.2f MB\n", static_cast<double>(t.parameters + t.buffers) * 4e-6);
  std::printf("memory: outputs of all layers          %.2f MB\n", static_cast<double>(t.activations) * 1e-6);
}

void print_json(const Steps& list, const Shape& input, const StepTotals& t, const Config& config) {
  io::Json layers = io::Json::array();
  for (const Step& row : list.steps)
    layers.push_back(io::Json::object({{"stage", row.stage},
                                       {"name", row.scope},
                                       {"op", row.name()},
                                       {"output", list.shape_of(row.output).extents()},
                                       {"parameters", row.trained_elements()},
                                       {"macs", row.macs},
                                       {"attention_macs", row.attention_macs},
                                       {"upsample_macs", row.upsample_macs}}));
  std::cout << io::Json::object({{"config", io::parse_json(config.to_json()).value},
                                 {"input", input.extents()},
                                 {"parameters", t.parameters},
                                 {"buffers", t.buffers},
                                 {"gflop", t.gflop()},
                                 {"gflop_with_attention", t.gflop_with_attention()},
                                 {"activation_bytes", t.activations},
                                 {"layers", layers}})
                   .dump(1)
            << '\n';
}

void run(const Options& o) {
  const std::optional<ModelFile> model = o.model.empty() ? std::nullopt : std::optional(load_model(o.model, "default"));
  const Config config = model ? model->config : Config::named(o.config);
  const Shape input = input_shape(o, config);
  if (o.plan) {
    Session session(o.machine);
    const Inference net = model ? Inference(config, model->tensors, o.model) : LGMSNet(config).inference();
    const auto plan = net.plan(input);
    if (o.json)
      std::cout << plan_json(*plan, net.parameters()).dump(1) << '\n';
    else
      print_plan(*plan, net.parameters());
    return;
  }
  const Steps list = steps_of(config, input);
  const StepTotals totals = totals_of(list);
  if (o.json)
    print_json(list, input, totals, config);
  else
    print_table(list, input, totals);
}

}  // namespace

void add_summary(CommandLine& program) {
  auto o = std::make_shared<Options>();
  const Verb verb = program.add_verb("summary", "Layers of a network: shapes, parameters, operations, memory");
  verb.add("--config", o->config, "2d, 3d, 3d-l0, 3d-l1 or 3d-l2").shows_default();
  verb.add("-m,--model", o->model, "take the configuration of this model file instead");
  verb.add("--size", o->size, "sides of the input: one for all, or height width (3D: depth height width)");
  verb.add("--batch", o->batch, "images").shows_default().range(int64_t{1}, int64_t{4096});
  verb.add_flag("--plan", o->plan, "what inference runs instead: fused steps, implementations, places in its memory");
  verb.add_flag("--json", o->json, "print JSON");
  add_threads(verb, o->machine);
  add_small(verb, o->machine);
  verb.action([o, verb] {
    if (!o->plan) verb.refuse({"--small"}, "is for --plan");
    if (!o->model.empty()) verb.refuse({"--config"}, "is the model's; leave it out");
    run(*o);
  });
}

}  // namespace lgms::tools
