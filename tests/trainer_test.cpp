#include "nn/trainer.h"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <thread>

#include "autograd/ops.h"
#include "core/io/bytes.h"
#include "core/io/output_file.h"
#include "core/io/safetensors.h"
#include "nn/layers.h"
#include "nn/schedule.h"
#include "tests/support/folder.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::nn;

namespace {

constexpr int64_t kEpochs = 4, kBatch = 4, kSide = 16;

// Discs on noise: images and masks that the test makes itself.
Dataset discs(int64_t n) {
  std::vector<std::string> stems;
  for (int64_t i = 0; i < n; ++i) stems.push_back(std::to_string(i));
  return {stems, [](const std::string& stem) {
            Rng rng(std::stoull(stem), Purpose::test);
            const double row = rng.uniform(4, 12), column = rng.uniform(4, 12), radius = rng.uniform(2, 5);
            Example e{stem, Tensor::empty({kSide, kSide, 3}, DType::u8), Tensor::empty({kSide, kSide, 1}, DType::u8)};
            for (int64_t i = 0; i < kSide * kSide; ++i) {
              const bool inside = std::hypot(double(i / kSide) - row, double(i % kSide) - column) < radius;
              e.masks.data<uint8_t>()[i] = inside ? 255 : 0;
              for (int64_t c = 0; c < 3; ++c)
                e.image.data<uint8_t>()[3 * i + c] = static_cast<uint8_t>(rng.below(120) + (inside ? 130 : 0));
            }
            return e;
          }};
}

Input prepare(const Example& e, Rng* rng) {
  Tensor image = e.image.to(DType::f32).clone(), target = e.masks.to(DType::f32).clone();
  const float shift = rng == nullptr ? 0 : static_cast<float>(rng->uniform(-5, 5));
  for (float& v : image.span<float>()) v = (v + shift) / 255;
  for (float& v : target.span<float>()) v /= 255;
  return {image.reshaped({1, kSide, kSide, 3}), target.reshaped({1, kSide, kSide, 1})};
}

// Everything of one small run: two convolutions with a batch norm between them.
struct TinyRun {
  Dataset train = discs(14), val = discs(3);
  ParameterStore store{{{.name = "a.weight", .shape = {6, 3, 3, 3}, .bound = default_bound(27)},
                        {.name = "n.weight", .shape = {6}, .value = 1},
                        {.name = "n.bias", .shape = {6}},
                        {.name = "n.running_mean", .shape = {6}, .trained = false},
                        {.name = "n.running_var", .shape = {6}, .trained = false, .value = 1},
                        {.name = "n.num_batches_tracked", .shape = {}, .dtype = DType::i64, .trained = false},
                        {.name = "b.weight", .shape = {1, 6, 1, 1}, .bound = default_bound(6)},
                        {.name = "b.bias", .shape = {1}, .bound = default_bound(6)}},
                       5};
  Optimizer optimizer{store, kernels::Sgd{.rate = 0, .momentum = 0.9, .weight_decay = 1e-4}};
  Forward forward = [this](const Tensor& x, bool training) {
    const Layers layers(store, training);
    return layers.convolution("b", layers.batch_norm("n", layers.convolution("a", autograd::Variable(x)),
                                                     {.after = autograd::Activation::relu}));
  };
  Loss loss = autograd::bce_dice_loss;
  std::function<void()> interrupt_validation;
  TrainerOptions options;
  Trainer trainer;

  explicit TinyRun(const std::filesystem::path& folder, Settings settings = {{"seed", "1"}}, double rate = 0.1)
      : options{.epochs = kEpochs,
                .batch = kBatch,
                .seed = 1,
                .folder = folder,
                .best_by = "val_dice",
                .settings = std::move(settings)},
        trainer({store, optimizer, train, prepare, forward, loss,
                 [rate](int64_t step) { return poly_rate(rate, step, kEpochs * 4); },
                 [this] {
                   if (interrupt_validation) interrupt_validation();
                   return validate_masks(forward, loss, val, prepare, kBatch);
                 }},
                options) {}
};

io::Bytes bytes_of(const std::filesystem::path& path) { return io::read_file(path); }

Table table_in(const std::filesystem::path& csv) { return Table::from_csv(io::read_text(csv), csv.string()); }

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// last.safetensors of the run in a folder, gone on with to its end by another process, so to say.
io::Bytes resumed(const std::filesystem::path& folder) {
  Context context;
  const Context::Scope scope(context);
  TinyRun run(folder);
  run.trainer.resume();
  run.trainer.run();
  return bytes_of(run.trainer.checkpoint_path());
}

// last.safetensors of a run that nothing disturbed.
io::Bytes undisturbed() {
  const testing::Folder folder;
  TinyRun run(folder.path());
  run.trainer.run();
  return bytes_of(run.trainer.checkpoint_path());
}

}  // namespace

TEST_CASE("trainer: it learns, and keeps a row per epoch") {
  const testing::Folder folder;
  TinyRun run(folder.path());
  std::vector<bool> best;
  int64_t steps = 0;
  run.trainer.on_step = [&](const StepReport& r) {
    ++steps;
    CHECK(r.batches == 4);
    CHECK(r.waiting >= 0);
    CHECK(r.waiting <= 1);
    CHECK(std::isfinite(r.loss));
  };
  run.trainer.on_epoch = [&](const Table& t, bool b) {
    CHECK(t.rows.size() == best.size() + 1);
    best.push_back(b);
  };
  run.trainer.run();
  CHECK(steps == 16);
  REQUIRE(best.size() == 4);
  CHECK(best[0]);
  const Table table = table_in(folder / "metrics.csv");
  CHECK(table.columns == std::vector<std::string>{"epoch", "step", "rate", "loss", "val_loss", "val_dice", "val_iou"});
  CHECK(table.column("step") == std::vector<double>{4, 8, 12, 16});
  CHECK(table.column("loss").back() < 0.8 * table.column("loss").front());
}

TEST_CASE("trainer: the same bits for 1, 2 and 3 threads") {
  const io::Bytes one = undisturbed();
  for (int threads : {2, 3}) {
    Context context({.threads = threads});
    const Context::Scope scope(context);
    CHECK(undisturbed() == one);
  }
}

TEST_CASE("trainer: a step asks the host's allocator for nothing once an epoch had steps of its shape") {
  for (int64_t accumulate : {1, 2}) {
    Context context;
    const Context::Scope scope(context);
    HostAllocator& host = *context.allocator();
    const testing::Folder folder;
    TinyRun run(folder.path());
    run.options.accumulate = accumulate;
    Trainer trainer({run.store, run.optimizer, run.train, prepare, run.forward, run.loss, [](int64_t) { return 0.01; },
                     [&] { return validate_masks(run.forward, run.loss, run.val, prepare, kBatch); }},
                    run.options);
    int64_t before = 0;
    trainer.on_step = [&](const StepReport& r) {
      if (r.epoch > 1 && r.batch > 1) CHECK(host.peak() == before);  // the first one takes the arena
      host.reset_peak();
      before = host.in_use();
    };
    trainer.on_epoch = [&](const Table& t, bool) {
      if (t.rows.size() > 1) CHECK(host.in_use() < before);  // validation may have the arena's memory
    };
    trainer.run();
  }
}

TEST_CASE("trainer: a run that was thrown out of a step goes on with the same bits") {
  const io::Bytes want = undisturbed();
  for (int64_t step : {0, 1, 3, 5, 11}) {
    const testing::Folder folder;
    TinyRun run(folder.path());
    Trainer trainer({run.store, run.optimizer, run.train, prepare,
                     [&, once = true](const Tensor& x, bool training) mutable {
                       if (training && run.optimizer.steps() == step && std::exchange(once, false)) {
                         const Tensor other = x.clone();  // no other step has a block here
                         fail(ErrorKind::device, "no more");
                       }
                       return run.forward(x, training);
                     },
                     run.loss, [](int64_t s) { return poly_rate(0.1, s, kEpochs * 4); },
                     [&] { return validate_masks(run.forward, run.loss, run.val, prepare, kBatch); }},
                    run.options);
    CHECK(testing::error_of([&] { trainer.run(); }) == "no more");
    trainer.run();
    CHECK(bytes_of(trainer.checkpoint_path()) == want);
  }
}

TEST_CASE("trainer: a run that is killed again and again ends with the bits of one that is not") {
  const io::Bytes want = undisturbed();
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const testing::Folder folder;
    Rng rng(seed, Purpose::test);
    int kills = 0;
    for (bool finished = false; !finished;) {
      const pid_t child = fork();
      if (child == 0) {
        TinyRun run(folder.path());
        run.trainer.on_step = [](const StepReport&) { std::this_thread::sleep_for(std::chrono::milliseconds(2)); };
        if (std::filesystem::exists(run.trainer.checkpoint_path())) run.trainer.resume();
        run.trainer.run();
        _exit(0);
      }
      REQUIRE(child > 0);
      // The first kills come early; each leaves the run more time, so that it ends.
      std::this_thread::sleep_for(std::chrono::microseconds(rng.below(static_cast<uint32_t>(15000 + 8000 * kills))));
      kill(child, SIGKILL);
      int status = 0;
      REQUIRE(waitpid(child, &status, 0) == child);
      finished = WIFEXITED(status);
      if (finished) CHECK(WEXITSTATUS(status) == 0);
      kills += !finished;
    }
    CAPTURE(kills);
    CHECK(kills > 1);
    CHECK(bytes_of(folder / "last.safetensors") == want);
    CHECK(table_in(folder / "metrics.csv").column("epoch") == std::vector<double>{1, 2, 3, 4});
  }
}

TEST_CASE("trainer: a stop is obeyed after any step, and the run goes on from there with the same bits") {
  const io::Bytes want = undisturbed();
  for (int64_t stop_after : {1, 4, 7, 16}) {
    const testing::Folder folder;
    Context context;
    const Context::Scope scope(context);
    TinyRun first(folder.path());
    int64_t steps = 0;
    first.trainer.on_step = [&](const StepReport&) {
      if (++steps == stop_after) context.stop().request();
    };
    CHECK(contains(testing::error_of([&] { first.trainer.run(); }), text("stopped after step ", stop_after)));
    CHECK(load_checkpoint(first.trainer.checkpoint_path()).progress.step == stop_after);
    CHECK(resumed(folder.path()) == want);
  }
}

TEST_CASE("trainer: a stop inside of validation, or of what follows it, keeps the epoch's steps and the bits") {
  const io::Bytes want = undisturbed();
  for (const bool validating : {true, false}) {
    CAPTURE(validating);
    const testing::Folder folder;
    Context context;
    const Context::Scope scope(context);
    TinyRun first(folder.path());
    const auto interrupted = [&] {
      context.stop().request();
      fail(ErrorKind::interrupted, "in the middle");
    };
    if (validating)
      first.interrupt_validation = interrupted;
    else
      first.trainer.on_epoch = [&](const Table&, bool) { interrupted(); };
    CHECK(contains(testing::error_of([&] { first.trainer.run(); }), "stopped after step 4"));
    CHECK(load_checkpoint(first.trainer.checkpoint_path()).progress.step == 4);
    CHECK(resumed(folder.path()) == want);
  }
}

TEST_CASE("trainer: metrics.csv is cut back to the checkpoint") {
  const testing::Folder folder;
  TinyRun first(folder.path());
  first.trainer.run();
  const io::Bytes csv = bytes_of(folder / "metrics.csv");
  io::Bytes longer = csv;
  for (char c : std::string("5,20,0.1,0.1,0.1,0.1,0.1\n")) longer.push_back(static_cast<uint8_t>(c));
  io::write_file(folder / "metrics.csv", longer);
  TinyRun second(folder.path());
  second.trainer.resume();
  CHECK(bytes_of(folder / "metrics.csv") == csv);
  second.trainer.run();  // nothing is left to do
  CHECK(bytes_of(folder / "metrics.csv") == csv);
}

TEST_CASE("trainer: a metrics.csv that is not the run's is refused by line, never cut in silence") {
  const testing::Folder folder;
  TinyRun first(folder.path());
  first.trainer.run();
  const std::filesystem::path csv = folder / "metrics.csv";
  const std::string good = io::read_text(csv);
  const std::vector<std::string> lines = [&] {
    std::vector<std::string> all;
    for (size_t from = 0; from < good.size(); from = good.find('\n', from) + 1)
      all.push_back(good.substr(from, good.find('\n', from) + 1 - from));
    return all;
  }();
  REQUIRE(lines.size() == 5);
  const auto error = [&](const std::string& text) {
    io::write_file(csv, text);
    TinyRun run(folder.path());
    try {
      run.trainer.resume();
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::data);
      CHECK(bytes_of(csv) == io::Bytes(text.begin(), text.end()));  // left for whoever looks into it
      return e.message();
    }
    return std::string();
  };
  const auto with_line = [&](size_t line, const std::string& text) {
    std::vector<std::string> all = lines;
    all[line] = text;
    std::string csv_text;
    for (const std::string& l : all) csv_text += l;
    return csv_text;
  };
  CHECK(contains(error(with_line(4, "")), "metrics.csv] line 5: expected the row of epoch 4"));
  CHECK(contains(error(with_line(2, "")), "line 3: expected epoch 2, step 8, got 3, 12"));
  CHECK(contains(error(with_line(3, lines[2] + lines[3])), "line 4: expected epoch 3, step 12, got 2, 8"));
  CHECK(contains(error(with_line(2, "2,8,0.1,0.5\n")), "line 3: expected 7 numbers, got 4"));
  CHECK(contains(error(with_line(2, "2,8,0.1,nan,1,1,1\n")), "line 3: expected a finite rate and loss"));
  CHECK(contains(error(with_line(2, "2,9,0.1,0.5,1,1,1\n")), "line 3: expected epoch 2, step 8, got 2, 9"));
  CHECK(contains(error(with_line(2, "2,8,0.1,0.5,1,1,1,\n")), "line 3: expected 7 numbers, got 8"));
  CHECK(contains(error(with_line(0, "epoch,step,rate,loss,val_loss,val_iou,x\n")), "line 1: expected the columns"));
  CHECK(contains(error(good.substr(0, good.size() - 3)), "line 5: expected a line that ends"));
  CHECK(contains(error(good.substr(0, lines[0].size() + 2)), "line 2: expected a line that ends"));
  CHECK(contains(error(std::string("\0\0", 2)), "metrics.csv"));
  std::filesystem::remove(csv);
  TinyRun missing(folder.path());
  CHECK(contains(testing::error_of([&] { missing.trainer.resume(); }), "metrics.csv"));
  CHECK(error(good).empty());
  // Scores of other names are found out when there are names to compare with.
  CHECK(error(with_line(0, "epoch,step,rate,loss,val_loss,val_dice,other\n")).empty());
}

TEST_CASE("trainer: a checkpoint in which no run can stand is refused by entry") {
  const testing::Folder folder;
  TinyRun first(folder.path());
  Context context;
  const Context::Scope scope(context);
  int64_t steps = 0;
  first.trainer.on_step = [&](const StepReport&) {
    if (++steps == 6) context.stop().request();
  };
  CHECK(contains(testing::error_of([&] { first.trainer.run(); }), "stopped after step 6"));
  const Checkpoint good = load_checkpoint(first.trainer.checkpoint_path());
  REQUIRE(good.progress.epoch == 1);
  REQUIRE(good.progress.batch == 2);
  const auto error = [&](const std::function<void(Checkpoint&)>& change) {
    Checkpoint bad = good;
    change(bad);
    TinyRun run(folder.path());
    try {
      run.trainer.resume(bad);
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::model);
      CHECK(contains(e.message(), "last.safetensors] "));
      return e.message();
    }
    return std::string();
  };
  const auto progress = [&](const std::string& key, const std::function<void(Progress&)>& change) {
    const std::string message = error([&](Checkpoint& c) { change(c.progress); });
    CAPTURE(message);
    CHECK(contains(message, "] " + key + ": expected "));
  };
  constexpr double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  constexpr int64_t huge = std::numeric_limits<int64_t>::max(), least = std::numeric_limits<int64_t>::min();
  for (const int64_t v : {int64_t{-1}, int64_t{5}, huge, least}) {
    progress("lgms.epoch", [&](Progress& p) { p.epoch = v; });
    progress("lgms.batch", [&](Progress& p) { p.batch = v; });
    progress("lgms.step", [&](Progress& p) { p.step = v; });
  }
  progress("lgms.batch", [](Progress& p) { p = {4, 1, 17, 0.5, 0.5, 1}; });  // the run is over
  for (const double v : {-0.5, nan, inf}) progress("lgms.loss_sum", [&](Progress& p) { p.loss_sum = v; });
  progress("lgms.loss_sum", [](Progress& p) { p = {1, 0, 4, 0.5, 0.5, 1}; });
  for (const double v : {-0.5, -2.0, 1.5, nan, inf}) progress("lgms.best", [&](Progress& p) { p.best = v; });
  for (const int64_t v : {int64_t{0}, int64_t{2}, int64_t{-1}, huge})
    progress("lgms.best_epoch", [&](Progress& p) { p.best_epoch = v; });
  progress("lgms.best_epoch", [](Progress& p) { p.best = -1; });

  const auto state = [&](size_t i, const Tensor& tensor) {
    return error([&](Checkpoint& c) { c.optimiser[i].tensor = tensor; });
  };
  REQUIRE(good.optimiser[0].name == "optimizer.steps");
  CHECK(contains(state(0, Tensor::full({}, 7, DType::i64)), "optimizer.steps: expected 6"));
  CHECK(contains(state(0, Tensor::full({}, -6, DType::i64)), "optimizer.steps: expected finite numbers from 0"));
  CHECK(contains(state(0, Tensor::full({1}, 6, DType::i64)), "optimizer.steps: expected i64 []"));
  CHECK(contains(state(1, Tensor::full(good.optimiser[1].tensor.shape(), nan)), "expected finite numbers, got nan"));
  CHECK(contains(error([](Checkpoint& c) { c.optimiser.push_back(c.optimiser.back()); }), "tensors of the optimiser"));
  CHECK(contains(error([](Checkpoint& c) { c.weights.push_back(c.weights.back()); }), "expected this tensor once"));
  CHECK(contains(error([](Checkpoint& c) { c.weights.pop_back(); }), "does not hold"));
  CHECK(error([](Checkpoint&) {}).empty());
}

// The weights of two convolutions, after two epochs; with or without a batch norm between them.
std::vector<float> trained(bool norm, int64_t accumulate) {
  const testing::Folder folder;
  TinyRun run(folder.path());
  run.options.accumulate = accumulate;
  run.options.epochs = 2;
  const Forward plain = [&](const Tensor& x, bool training) {
    const Layers layers(run.store, training);
    const autograd::Variable a = layers.convolution("a", autograd::Variable(x));
    return layers.convolution("b", autograd::instance_norm(a, {.after = autograd::Activation::relu}));
  };
  Trainer trainer(
      {run.store, run.optimizer, run.train, prepare, norm ? run.forward : plain, run.loss, [](int64_t) { return 0.01; },
       [] {
         return NamedScores{{"val_dice", 0.5}};
       }},
      run.options);
  trainer.run();
  const auto values = run.store.parameter("a.weight").value().span<float>();
  return {values.begin(), values.end()};
}

TEST_CASE("trainer: gradients of a batch in parts add up to the batch's, except under batch norms") {
  const auto difference = [](const std::vector<float>& a, const std::vector<float>& b) {
    float most = 0;
    for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
    return most;
  };
  for (int64_t parts : {2, 3, 4, 9}) {
    CAPTURE(parts);
    CHECK(difference(trained(false, 1), trained(false, parts)) < 1e-6f);
  }
  CHECK(difference(trained(true, 1), trained(true, 2)) > 1e-5f);  // statistics are those of a part
}

TEST_CASE("trainer: epochs between validations have no row; the last one does") {
  const testing::Folder folder;
  TinyRun run(folder.path());
  run.options.validate_every = 3;
  std::vector<double> epochs;
  Trainer trainer({run.store, run.optimizer, run.train, prepare, run.forward, run.loss, [](int64_t) { return 0.01; },
                   [] {
                     return NamedScores{{"val_dice", 0.5}};
                   }},
                  run.options);
  trainer.on_epoch = [&](const Table& metrics, bool) { epochs = metrics.column("epoch"); };
  trainer.run();
  CHECK(epochs == std::vector<double>{3, 4});
  CHECK(trainer.progress().epoch == kEpochs);
}

TEST_CASE("trainer: other settings and other instruction sets are refused") {
  const testing::Folder folder;
  TinyRun first(folder.path());
  first.trainer.run();
  TinyRun other(folder.path(), {{"seed", "2"}});
  CHECK(contains(testing::error_of([&] { other.trainer.resume(); }), "[resume] seed: the run in"));
  const auto path = first.trainer.checkpoint_path();
  io::Safetensors file = io::read_safetensors(path);
  file.metadata["lgms.isa"] = "neon";
  file.metadata.erase("lgms.metadata_checksum");
  io::write_safetensors(path, file.tensors, file.metadata);
  TinyRun drifting(folder.path());
  CHECK(contains(testing::error_of([&] { drifting.trainer.resume(); }), "was started with neon"));
  TrainerOptions options = first.options;
  options.allow_drift = true;
  Trainer allowed({first.store, first.optimizer, first.train, prepare, first.forward, first.loss, {}, {}}, options);
  allowed.resume();
  CHECK(allowed.progress().step == 16);
}

TEST_CASE("trainer: a loss that is not finite ends the run, names the step and keeps the last finite checkpoint") {
  const testing::Folder folder;
  TinyRun run(folder.path(), {{"seed", "1"}}, 1e30);
  const std::string error = testing::error_of([&] { run.trainer.run(); });
  CHECK(contains(error, "[train] loss of step "));
  CHECK(contains(error, "last finite checkpoint"));
  TinyRun resumed(folder.path());
  resumed.trainer.resume();  // refuses numbers that are not finite
  CHECK(resumed.trainer.progress().step == 0);
}

TEST_CASE("trainer: a validation without numbers ends the run, and the last finite checkpoint stays") {
  const testing::Folder folder;
  TinyRun run(folder.path());
  const auto with = [&](const std::function<NamedScores()>& validate) {
    Trainer trainer(
        {run.store, run.optimizer, run.train, prepare, run.forward, run.loss, [](int64_t) { return 0.1; }, validate},
        run.options);
    try {
      trainer.run();
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::internal);
      return e.message();
    }
    return std::string();
  };
  CHECK(contains(with([]() -> NamedScores {
                   return {{"val_dice", 0.5}, {"val_loss", NAN}};
                 }),
                 "[train] val_loss after step"));
  CHECK(contains(with([]() -> NamedScores { fail(ErrorKind::model, "no numbers"); }), "no numbers"));
  CHECK(load_checkpoint(run.trainer.checkpoint_path()).progress.step == 0);
}

TEST_CASE("trainer: a score to choose by that validation does not give is an error, not 0") {
  const testing::Folder folder;
  TinyRun run(folder.path());
  run.options.best_by = "val_luck";
  Trainer trainer({run.store, run.optimizer, run.train, prepare, run.forward, run.loss, [](int64_t) { return 0.1; },
                   []() -> NamedScores {
                     return {{"val_dice", 0.5}};
                   }},
                  run.options);
  CHECK(testing::error_of([&] { trainer.run(); }) ==
        "[train] best_by: expected a score of validation, got \"val_luck\"");
  CHECK(load_checkpoint(trainer.checkpoint_path()).progress.step == 0);
}
