// A run as whoever embeds the library has it. What the program says of runs: *train*_program_test, resume_program_test.
#include "lgmsnet/training/training_run.h"

#include <limits>
#include <stdexcept>

#include "core/io/bytes.h"
#include "core/io/output_file.h"
#include "lgmsnet/model_file.h"
#include "lgmsnet/predictor.h"
#include "lgmsnet/training/picture_report.h"
#include "tests/support/balls.h"
#include "tests/support/discs.h"
#include "tests/support/folder.h"
#include "tests/support/testing.h"

using namespace lgms;
namespace fs = std::filesystem;

namespace {

constexpr const char* kWidths = R"("dims": [8, 8, 16, 16, 16], "splits": [[8, 8], [8, 8], [8, 8], [8, 8]],
    "depths": [1, 1, 1]})";

struct Bench : testing::Folder {
  TrainingOptions pictures(const std::string& run) const {
    if (!fs::exists(path() / "discs")) testing::write_discs(path() / "discs", 6, 4, 40, 36);
    TrainingOptions o = options(run, "discs", R"({"rank": 2, "in_channels": 3, "classes": 1, )");
    o.size = 32;
    return o;
  }
  TrainingOptions volumes(const std::string& run) const {
    if (!fs::exists(path() / "balls")) testing::write_balls(path() / "balls", 5, 3, {34, 30, 28});
    return options(run, "balls", R"({"rank": 3, "in_channels": 1, "classes": 3, )");
  }
  io::Bytes file(const std::string& run, const std::string& name) const { return io::read_file(path() / run / name); }

 private:
  TrainingOptions options(const std::string& run, const std::string& data, const std::string& network) const {
    io::write_file(path() / (data + ".json"), network + kWidths);
    TrainingOptions o;
    o.data.folder = path() / data;
    o.network = path() / (data + ".json");
    o.out = path() / run;
    o.epochs = o.batch = 2;
    return o;
  }
};

TrainingResult trained(const TrainingOptions& options, TrainingEvents events = {}) {
  Context context;
  const Context::Scope scope(context);
  TrainingRun run(options, std::move(events));
  run.begin();
  return run.train();
}

void stops_and_goes_on(const Bench& bench, const TrainingOptions& whole, TrainingOptions parts) {
  int64_t steps = 0, rows = 0;
  std::vector<std::string> parts_of_it;
  const TrainingResult done =
      trained(whole, {.progress = [&](std::string_view what, int64_t, int64_t) { parts_of_it.emplace_back(what); },
                      .step = [&](const nn::StepReport&) { ++steps; },
                      .epoch = [&](const nn::Table& metrics, bool) { rows = std::ssize(metrics.rows); }});
  CHECK(steps > rows);
  CHECK(rows == 2);
  CHECK(done.epochs == 2);
  CHECK(done.best_by == "val_dice");
  CHECK(parts_of_it.front().starts_with("reading "));
  CHECK(parts_of_it.back() == "validating");
  CHECK_NOTHROW(Predictor(load_model(done.model), done.model.string()));

  // Stopped after its first step, and again after the step after that.
  for (int session = 0; session < 2; ++session) {
    CHECK_THROWS_AS(trained(parts, {.step = [](const nn::StepReport&) { Context::current().stop().request(); }}),
                    Error);
    parts.resume = true;
  }
  parts.epochs = 0;  // it knows
  {
    TrainingRun run(parts);
    CHECK(run.options().epochs == 2);
    const TrainingStart start = run.begin();
    CHECK(start.resumed);
    CHECK(start.step == 2);
    run.train();
  }
  for (const char* name : {"metrics.csv", "last.safetensors", "model.safetensors", "config.json"})
    CHECK(bench.file("whole", name) == bench.file("parts", name));
}

}  // namespace

TEST_CASE("training_run: pictures in, a model out; stopped and gone on with, the same bits") {
  const Bench bench;
  stops_and_goes_on(bench, bench.pictures("whole"), bench.pictures("parts"));
}

TEST_CASE("training_run: volumes in, a model out; stopped and gone on with, the same bits") {
  const Bench bench;
  stops_and_goes_on(bench, bench.volumes("whole"), bench.volumes("parts"));
}

TEST_CASE("training_run: what is given must be the run's, what is not is remembered") {
  const Bench bench;
  TrainingOptions o = bench.pictures("run");
  o.epochs = 1;
  trained(o);
  o.resume = true;
  o.seed = 7;
  CHECK_NOTHROW(trained(o));  // not meant
  o.given = {"seed"};
  CHECK(testing::error_of([&] { trained(o); }).starts_with("[resume] seed: the run in "));
  o.resume = false;
  CHECK(testing::error_of([&] { trained(o); }).find("already holds a run") != std::string::npos);
}

TEST_CASE("training_run: options that make no sense are refused by name, before anything is written") {
  const Bench bench;
  const auto refused = [&](const std::function<void(TrainingOptions&)>& change) {
    TrainingOptions o = bench.pictures("none");
    change(o);
    const std::string error = testing::error_of([&] { trained(o); });
    CHECK(!fs::exists(bench / "none"));
    return error;
  };
  CHECK(refused([](auto& o) { o.size = 33; }) == "[train] --size: expected a multiple of 32 from 32 to 4096, got 33");
  CHECK(refused([](auto& o) { o.epochs = -1; }) == "[train] --epochs: expected 1 to 1000000, got -1");
  CHECK(refused([](auto& o) {
          o.epochs = 0;
          o.given = {"epochs"};
        }) == "[train] --epochs: expected 1 to 1000000, got 0");
  CHECK(refused([](auto& o) { o.given = {"sead"}; }) == "[train] given: expected names of options, got \"sead\"");
  CHECK(refused([](auto& o) { o.recipe = "theirs-2d"; }).starts_with("[train] --recipe: expected one of default-2d,"));
  CHECK(refused([](auto& o) {
          o.patch = {32, 32, 32};
          o.given = {"patch"};
        }) == "[train] --patch is for volumes, not for default-2d");
  CHECK(refused([](auto& o) { o.data.classes = {"a", "a"}; }).find("expected each name once") != std::string::npos);
  CHECK(testing::error_of([&] {
          TrainingRun run(bench.pictures("none"));
          run.train();
        }).starts_with("[train] expected a begin() that succeeded before"));
  CHECK(refused([](auto& o) { o.validate_every = 0; }) == "[train] --val-every: expected 1 to 1000000, got 0");
  CHECK(refused([](auto& o) { o.accumulate = 0; }) == "[train] --accumulate: expected 1 to 4096, got 0");
  CHECK(refused([](auto& o) { o.rate = std::numeric_limits<double>::quiet_NaN(); }) ==
        "[train] --lr: expected 1e-12 to 1000, got nan");
  CHECK(refused([](auto& o) { o.out.clear(); }) == "[train] --out: expected a folder, got an empty text");
}

TEST_CASE("training_run: the folder is one run's at a time") {
  const Bench bench;
  TrainingRun first(bench.pictures("run"));
  first.begin();
  TrainingOptions second = bench.pictures("run");
  second.resume = true;
  CHECK(testing::error_of([&] { TrainingRun run(second); }).find("another training is at work") != std::string::npos);
}

TEST_CASE("training_run: nothing trains after a begin() that was refused, and no run begins twice") {
  const Bench bench;
  const auto refused = [](TrainingRun& run) {
    CHECK(testing::error_of([&] { run.train(); }).starts_with("[train] expected a begin() that succeeded before"));
  };
  TrainingRun first(bench.pictures("run")), second(bench.pictures("run"));
  first.begin();
  CHECK(testing::error_of([&] { second.begin(); }).find("another training is at work") != std::string::npos);
  refused(second);
  first.train();
  const io::Bytes last = bench.file("run", "last.safetensors");
  CHECK(testing::error_of([&] { first.begin(); }).starts_with("[train] expected one begin()"));
  refused(first);
  TrainingRun thrown(bench.pictures("thrown"),
                     {.progress = [](std::string_view, int64_t, int64_t) { throw std::runtime_error("no"); }});
  CHECK_THROWS_AS(thrown.begin(), std::runtime_error);
  refused(thrown);
  CHECK(bench.file("run", "last.safetensors") == last);
}

TEST_CASE("training_run: a run without a threshold goes on, whatever the caller's options say besides") {
  const Bench bench;
  TrainingOptions o = bench.pictures("run");
  o.epochs = 1;
  o.mask_threshold = -1;
  trained(o);
  o.resume = true;
  o.mask_threshold = 100;
  TrainingRun run(o);
  CHECK(run.options().mask_threshold == -1);
}

TEST_CASE("picture_report: means over pictures of means over classes") {
  PictureReport report({"a", "b"});
  report.add("x", {{.tp = 1, .fp = 0, .fn = 0, .tn = 3}, {.tp = 0, .fp = 1, .fn = 1, .tn = 2}});
  report.add("y", {{.tp = 1, .fp = 2, .fn = 0, .tn = 1}, {.tp = 0, .fp = 0, .fn = 0, .tn = 4}});
  const io::Json means = report.means();
  CHECK(means.find("mean")->find("dice")->number() == doctest::Approx((0.5 + 0.75) / 2));
  CHECK(means.find("classes")->find("a")->find("iou")->number() == doctest::Approx((1 + 1 / 3.0) / 2));
  CHECK(report.images()[1].find("stem")->string() == "y");
  CHECK(testing::error_of([&] { report.add("z", {}); }) == "[report] counts: expected those of 2 class(es), got 0");
}
