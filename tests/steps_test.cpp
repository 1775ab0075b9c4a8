#include "lgmsnet/steps.h"

#include <algorithm>

#include "lgmsnet/training/lgmsnet.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::testing;

TEST_CASE("inference: the bits of the trainable network outside of training, stage by stage, in both types") {
  Config deep = Config::named("3d-l0");
  deep.classes = 3;
  for (const auto& [config, shape] :
       {std::pair{Config::named("2d"), Shape{2, 1, 64, 96, 3}}, {deep, {1, 32, 64, 32, 1}}})
    for (const DType dtype : {DType::f32, DType::f64}) {
      if (dtype == DType::f64 && config.rank == 3) continue;  // minutes
      LGMSNet net(config, 7, dtype);
      const Tensor x = randn(shape, 1, dtype);
      if (dtype == DType::f32) net.forward(x, true);  // statistics that are not 0 and 1
      std::vector<std::pair<std::string, Tensor>> stages;
      size_t at = 0;
      const Tensor got = net.inference().forward(
          x, [&](const std::string& name, const Tensor& t) { stages.emplace_back(name, t.clone()); });
      const autograd::NoGrad no_grad;
      const Tensor want = net.forward(x, false,
                                      [&](const std::string& name, const Tensor& t) {
                                        REQUIRE(at < stages.size());
                                        CHECK(stages[at].first == name);
                                        CHECK(max_difference(stages[at++].second, t) == 0);
                                      })
                              .value();
      CHECK(at == stages.size());
      CHECK(max_difference(got, want) == 0);
      CHECK(max_magnitude(got) > 0);
    }
}

TEST_CASE("steps: every value is written once, read later, and its memory is not taken before that") {
  for (const char* name : {"2d", "3d", "3d-l2"}) {
    const Config config = Config::named(name);
    const int64_t d = config.rank == 3 ? 32 : 1;
    const Steps list = steps_of(config, {1, d, 32, 32, config.in_channels});
    std::vector<int> holds(list.values.size(), -1);  // of a storage: whose value is in it
    holds[static_cast<size_t>(list.input)] = list.input;
    int in_place = 0;
    for (size_t i = 0; i < list.steps.size(); ++i) {
      const Step& step = list.steps[i];
      CHECK(!step.stage.empty());
      for (const int v : step.inputs) {
        const StepValue& value = list.values[static_cast<size_t>(v)];
        const int owner = holds[static_cast<size_t>(value.storage)];
        REQUIRE(owner >= 0);
        CHECK((owner == v || value.shape.channels() < list.shape_of(owner).channels()));
        CHECK(list.values[static_cast<size_t>(value.storage)].last_read >= static_cast<int>(i));
      }
      const int storage = list.values[static_cast<size_t>(step.output)].storage;
      if (storage != step.output) {
        ++in_place;
        CHECK(storage == list.values[static_cast<size_t>(step.inputs[0])].storage);
      }
      holds[static_cast<size_t>(storage)] = step.output;
    }
    CHECK(in_place > 20);
    CHECK(holds[static_cast<size_t>(list.values[static_cast<size_t>(list.output)].storage)] == list.output);
  }
}

TEST_CASE("steps: fused ones do the same work with the same parameters in the same order, in fewer steps") {
  for (const char* name : {"2d", "3d", "3d-l2"})
    for (const Fused how : {Fused::shared, Fused::yes}) {
      CAPTURE(std::string(name));
      const Config config = Config::named(name);
      const Shape x{2, config.rank == 3 ? 32 : 1, 32, 64, config.in_channels};
      const Steps plain = steps_of(config, x), fused = steps_of(config, x, how);
      const StepTotals a = totals_of(plain), b = totals_of(fused);
      CHECK(a.macs == b.macs);
      CHECK(a.attention_macs == b.attention_macs);
      CHECK(a.upsample_macs == b.upsample_macs);
      std::vector<std::string> names, fused_names;
      for (const Step& step : plain.steps)
        for (const ParameterSpec& p : step.parameters) names.push_back(p.name);
      const auto count = [&](const Steps& list, Op op) {
        return std::count_if(list.steps.begin(), list.steps.end(), [&](const Step& s) { return s.op == op; });
      };
      for (const Step& step : fused.steps)
        for (const ParameterSpec& p : step.parameters) fused_names.push_back(p.name);
      CHECK(names == fused_names);
      CHECK(fused.steps.size() < plain.steps.size());
      for (const Op op : {Op::batch_norm, Op::activation, Op::add, Op::concat}) CHECK(count(fused, op) == 0);
      CHECK(count(plain, Op::upsample) == 4);
      CHECK(count(fused, Op::upsample) == (how == Fused::yes ? 0 : 4));
      CHECK(count(fused, Op::up_convolution) == (how == Fused::yes ? 4 : 0));
      CHECK((count(fused, Op::pointwise_pair) > 0) == (how == Fused::yes));
      CHECK(fused.shape_of(fused.output) == plain.shape_of(plain.output));
      // A part of a concat lies inside of it, and nothing is read after its memory may be another's.
      for (size_t i = 0; i < fused.steps.size(); ++i)
        for (const int v : fused.steps[i].inputs) {
          const StepValue &value = fused.values[static_cast<size_t>(v)],
                          &whole = fused.values[static_cast<size_t>(value.storage)];
          CHECK(value.first + value.shape.channels() <= whole.shape.channels());
          CHECK(whole.last_read >= static_cast<int>(i));
        }
    }
}

TEST_CASE("steps: an input whose operations cannot be counted is refused") {
  CHECK(error_of([] {
          steps_of(Config::named("3d"), {1, 4096, 4096, 4096, 1});
        }) ==
        "[network] input: expected at most 2^54 multiply-adds in an operation, [1, 4096, 4096, 4096, 1] takes more; "
        "choose a smaller size");
  CHECK(totals_of(steps_of(Config::named("3d"), {1, 1024, 1024, 1024, 1})).attention_macs > 0);
}
