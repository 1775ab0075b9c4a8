#include "nn/trainer.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

#include "core/context.h"
#include "core/error.h"
#include "core/io/bytes.h"
#include "core/io/files.h"
#include "core/io/output_file.h"
#include "nn/metrics.h"

namespace lgms::nn {
namespace {

constexpr std::array kColumns{"epoch", "step", "rate", "loss"};  // then the scores

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double scalar(const autograd::Variable& v) { return *v.value().to(Device::cpu).to(DType::f64).data<double>(); }

Tensor on_device(const Tensor& t) { return t.to(Context::current().device()); }

}  // namespace

void Trainer::resume(const Checkpoint& saved) {
  const std::string path = checkpoint_path().string();
  Settings before = saved.settings;
  for (const auto& [name, value] : options_.older)
    if (std::none_of(before.begin(), before.end(), [&, &name = name](const auto& s) { return s.first == name; }))
      before.emplace_back(name, value);
  check_settings(before, options_.settings, path);
  const std::string isa = Context::current().arithmetic();
  check(saved.isa == isa || options_.allow_drift, ErrorKind::usage, "[resume] instruction set: the run in ", path,
        " was started with ", saved.isa, ", got ", isa,
        "; LGMS_ISA sets it, --provider what stands behind a +; or give --allow-drift if other last bits will do");
  check_progress(saved.progress, course(), path);
  task_.store.load(saved.weights, path);
  task_.optimizer.load(saved.optimiser, path);
  check(task_.optimizer.steps() == saved.progress.step, ErrorKind::model, "[", path, "] optimizer.steps: expected ",
        saved.progress.step, ", the steps of the run, got ", task_.optimizer.steps(), "; the file is damaged");
  at_ = saved.progress;
  read_metrics();
}

// The rows of the epochs up to the checkpoint; the table is written before the checkpoint is.
void Trainer::read_metrics() {
  const std::filesystem::path csv = options_.folder / "metrics.csv";
  std::vector<int64_t> epochs;
  for (int64_t epoch = 1; epoch <= at_.epoch; ++epoch)
    if (course().validates(epoch)) epochs.push_back(epoch);
  if (epochs.empty() && io::look_at(csv) == io::Found::nothing) return;
  metrics_ = Table::from_csv(io::read_text(csv), csv.string());
  const auto expect = [&](bool ok, size_t line, const auto&... expected_and_got) {
    check(ok, ErrorKind::data, "[", csv.string(), "] line ", line, ": expected ", expected_and_got...,
          "; the file is damaged, or of another run");
  };
  const std::vector<std::string>& columns = metrics_.columns;
  expect(columns.size() > kColumns.size() && std::equal(kColumns.begin(), kColumns.end(), columns.begin()) &&
             std::count(columns.begin(), columns.end(), options_.best_by) == 1,
         1, "the columns epoch, step, rate, loss and scores, ", options_.best_by, " among them, got others");
  std::vector<std::vector<double>>& rows = metrics_.rows;
  for (size_t i = 0; i < std::max(rows.size(), epochs.size()); ++i) {
    if (i == epochs.size() && rows[i][0] > static_cast<double>(at_.epoch)) {
      rows.resize(i);
      break;
    }
    expect(i < epochs.size(), i + 2, "no row up to epoch ", at_.epoch, ", the last of the checkpoint, got one");
    const auto epoch = static_cast<double>(epochs[i]), step = epoch * static_cast<double>(batches());
    expect(i < rows.size(), i + 2, "the row of epoch ", epochs[i], ", got the end of the file");
    // Seven digits are written.
    expect(rows[i][0] == epoch && std::abs(rows[i][1] - step) <= 1e-6 * step, i + 2, "epoch ", epoch, ", step ", step,
           ", got ", rows[i][0], ", ", rows[i][1]);
    expect(std::isfinite(rows[i][2]) && std::isfinite(rows[i][3]), i + 2, "a finite rate and loss, got ", rows[i][2],
           ", ", rows[i][3]);
  }
  io::write_file(csv, metrics_.to_csv());
}

void Trainer::run() {
  started_ = now();
  if (at_.step == 0) save();
  const auto memory = std::make_shared<StepMemory>(Context::current().allocator());
  while (at_.epoch < options_.epochs) {
    train_epoch(memory);
    memory->give_back();  // for validation
    finish_epoch();
  }
}

void Trainer::train_epoch(const std::shared_ptr<StepMemory>& memory) {
  Loader loader(task_.data, task_.prepare,
                {.batch = options_.batch,
                 .training = true,
                 .seed = options_.seed,
                 .epoch = at_.epoch,
                 .first = at_.batch,
                 .crops = options_.crops});
  for (;;) {
    std::optional<Batch> batch;
    stoppable([&] { batch = loader.next(); });
    if (!batch) break;
    at_.loss_sum += train_step(*batch, memory);
    ++at_.batch;
    ++at_.step;
    ++session_steps_;
    session_images_ += static_cast<int64_t>(batch->examples.size());
    report(loader.seconds_waited());
  }
  waited_ += loader.seconds_waited();
}

double Trainer::train_step(const Batch& batch, const std::shared_ptr<StepMemory>& memory) {
  task_.store.clear_grads();  // of a step that did not end
  const StepMemory::Step step(memory, batch.images.shape());
  const Tensor images = on_device(batch.images), targets = on_device(batch.targets);
  const int64_t n = images.shape()[0], parts = std::min(options_.accumulate, n);
  double value = 0;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t first = n * part / parts, count = n * (part + 1) / parts - first;
    const autograd::Variable loss =
        task_.loss(task_.forward(images.slice_batch(first, count), true), targets.slice_batch(first, count));
    const double share = static_cast<double>(count) / static_cast<double>(n), part_value = scalar(loss);
    expect_finite(part_value);
    value += share * part_value;
    autograd::backward(loss, Tensor::full(loss.shape(), share, loss.value().dtype()));
  }
  task_.optimizer.step(task_.rate(at_.step));
  task_.store.clear_grads();
  return value;
}

void Trainer::expect_finite(double value) const {
  check(std::isfinite(value), ErrorKind::internal, "[train] loss of step ", at_.step + 1, " (epoch ", at_.epoch + 1,
        ", batch ", at_.batch + 1, "): expected a finite number, got ", value, "; ", checkpoint_path().string(),
        " is the last finite checkpoint; try a lower learning rate");
}

void Trainer::finish_epoch() {
  if (!course().validates(at_.epoch + 1)) {
    at_ = {at_.epoch + 1, 0, at_.step, 0, at_.best, at_.best_epoch};
    save();
    return;
  }
  NamedScores scores;
  stoppable([&] {
    try {
      scores = task_.validate();
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::model)
        fail(ErrorKind::internal, "[train] validation after step ", at_.step, ": ", e.message());
      throw;
    }
  });
  for (const auto& [name, value] : scores)
    check(std::isfinite(value), ErrorKind::internal, "[train] ", name, " after step ", at_.step, " (epoch ",
          at_.epoch + 1, "): expected a finite number, got ", value, "; ", checkpoint_path().string(),
          " is the last finite checkpoint; try a lower learning rate");
  std::vector<std::string> columns(kColumns.begin(), kColumns.end());
  std::vector<double> row{static_cast<double>(at_.epoch + 1), static_cast<double>(at_.step), task_.rate(at_.step - 1),
                          at_.loss_sum / static_cast<double>(at_.batch)};
  for (const auto& [name, value] : scores) {
    columns.push_back(name);
    row.push_back(value);
  }
  const auto by =
      std::find_if(scores.begin(), scores.end(), [&](const auto& s) { return s.first == options_.best_by; });
  check(by != scores.end(), ErrorKind::usage, "[train] best_by: expected a score of validation, got \"",
        options_.best_by, '"');
  check(metrics_.rows.empty() || metrics_.columns == columns, ErrorKind::data, "[",
        (options_.folder / "metrics.csv").string(),
        "] line 1: expected the columns that this run writes, got others; the file is damaged, or of another run");
  metrics_.columns = std::move(columns);
  metrics_.rows.push_back(std::move(row));
  const bool best = by->second > at_.best;
  at_ = {at_.epoch + 1, 0, at_.step, 0, best ? by->second : at_.best, best ? at_.epoch + 1 : at_.best_epoch};
  // The checkpoint comes last: whatever a kill interrupts is done again from the one before.
  io::write_file(options_.folder / "metrics.csv", metrics_.to_csv());
  if (on_epoch) stoppable([&] { on_epoch(metrics_, best); });
  save();
}

void Trainer::stoppable(const std::function<void()>& f) const {
  try {
    f();
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::interrupted) stop_if_asked();
    throw;
  }
  stop_if_asked();
}

void Trainer::report(double waited) const {
  if (!on_step) return;
  const double seconds = std::max(now() - started_, 1e-9);
  const auto left = static_cast<double>(options_.epochs * batches() - at_.step);
  on_step({at_.epoch + 1, options_.epochs, at_.batch, batches(), at_.loss_sum / static_cast<double>(at_.batch),
           static_cast<double>(session_images_) / seconds, (waited_ + waited) / seconds,
           seconds / static_cast<double>(session_steps_) * left});
}

void Trainer::save() const {
  save_checkpoint(checkpoint_path(), {at_, options_.settings, Context::current().arithmetic(), task_.store.tensors(),
                                      task_.optimizer.state()});
}

void Trainer::stop_if_asked() const {
  if (!Context::current().stop().requested()) return;
  save();
  fail(ErrorKind::interrupted, "[train] stopped after step ", at_.step, " (epoch ", at_.epoch + 1, ", batch ",
       at_.batch, " of ", batches(), "); --resume goes on from there");
}

NamedScores validate_masks(const Forward& forward, const Loss& loss, const Dataset& data, const Prepare& prepare,
                           int64_t batch, const std::function<void(int64_t, int64_t)>& on_batch) {
  const autograd::NoGrad no_grad;
  Loader loader(data, prepare, {.batch = batch, .training = false});
  double loss_sum = 0, dice = 0, iou = 0;
  int64_t masks = 0;
  while (const auto b = loader.next()) {
    const autograd::Variable logits = forward(on_device(b->images), false);
    const Tensor values = logits.value().to(Device::cpu);
    const int64_t n = values.shape()[0], k = values.channels();
    loss_sum += scalar(loss(logits, on_device(b->targets))) * static_cast<double>(n);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t c = 0; c < k; ++c, ++masks) {
        const Scores s = scores(count(values.slice_batch(i, 1), b->targets.slice_batch(i, 1), 0, c));
        dice += s.dice;
        iou += s.iou;
      }
    if (on_batch) on_batch(b->index + 1, batches_of(data.size(), batch));
    if (Context::current().stop().requested()) break;
  }
  const auto count_of = static_cast<double>(std::max<int64_t>(masks, 1));
  return {{"val_loss", loss_sum / static_cast<double>(data.size())},
          {"val_dice", dice / count_of},
          {"val_iou", iou / count_of}};
}

}  // namespace lgms::nn
