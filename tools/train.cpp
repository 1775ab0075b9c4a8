// lgmsnet train: arguments and what is said of a run.
#include <cmath>
#include <cstdio>
#include <iostream>
#include <memory>

#include "core/error.h"
#include "core/io/output_file.h"
#include "lgmsnet/training/training_run.h"
#include "nn/curves.h"
#include "tools/printing.h"
#include "tools/session.h"
#include "tools/status_line.h"
#include "tools/verbs.h"

namespace lgms::tools {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  TrainingOptions options;
  Machine machine;
};

// Which options were typed, and whether they may be: in the words that were typed.
void note_given(TrainingOptions& o, Verb verb) {
  for_each_option(o, [&](const char* name, const auto& value, const Allowed& allowed, const char*) {
    const std::vector<std::string> typed = verb.words(std::string("--") + name);
    if (typed.empty()) return;
    o.given.insert(name);
    std::string got;
    for (const std::string& word : typed) got.append(got.empty() ? "" : " ").append(word);
    check(allows(allowed, value), ErrorKind::usage, "[train] --", name, ": expected ", description(allowed, value),
          ", got ", got);
  });
  if (verb.given("--classes")) o.given.insert("classes");
}

std::string percent(double share) { return text(std::lround(share * 100), " %"); }

std::string line_of(const nn::StepReport& r, bool volumes) {
  return text("epoch ", r.epoch, "/", r.epochs, " ", r.batch, "/", r.batches, "  loss ", fixed(r.loss, 4), "  ",
              fixed(r.images_per_second, 1), volumes ? " patches/s  waiting " : " images/s  waiting ",
              percent(r.waiting), "  ", duration(r.seconds_left), " left");
}

std::string line_of(const nn::Table& metrics, int64_t epochs, bool best) {
  std::string line = text("epoch ", static_cast<int64_t>(metrics.column("epoch").back()), "/", epochs);
  for (size_t c = 3; c < metrics.columns.size(); ++c)
    line += text("  ", metrics.columns[c], " ", fixed(metrics.rows.back()[c], 4));
  return best ? line + "  best" : line;
}

void write_curves(const nn::Table& metrics, const fs::path& folder) {
  const std::vector<double> epochs = metrics.column("epoch");
  nn::Chart losses{"Loss", "epoch", {}}, scores{"Validation scores", "epoch", {}};
  for (size_t c = 3; c < metrics.columns.size(); ++c) {
    const std::string& name = metrics.columns[c];
    const nn::Series series{name == "loss"       ? "training"
                            : name == "val_loss" ? "validation"
                                                 : name,
                            epochs, metrics.column(name)};
    nn::Chart& chart = name == "loss" || name == "val_loss" ? losses : scores;
    if (chart.series.size() < 6) chart.series.push_back(series);
  }
  io::write_file(folder / "loss.svg", nn::svg(losses));
  io::write_file(folder / "dice.svg", nn::svg(scores));
}

void train(Arguments a, Verb verb) {
  note_given(a.options, verb);
  a.options.version = LGMS_VERSION;
  a.options.commit = LGMS_COMMIT;
  const Session session(a.machine);
  StatusLine status;
  const fs::path out = a.options.out;
  bool volumes = false;
  int64_t epochs = 0;
  TrainingRun run(std::move(a.options),
                  {.progress = [&](std::string_view what, int64_t done,
                                   int64_t all) { status.show(text(what, ": ", done, " of ", all)); },
                   .step =
                       [&](const nn::StepReport& r) {
                         status.show(line_of(r, volumes),
                                     static_cast<double>(r.batch) / static_cast<double>(r.batches));
                       },
                   .epoch =
                       [&](const nn::Table& metrics, bool best) {
                         write_curves(metrics, out);
                         status.print(line_of(metrics, epochs, best));
                       }});
  volumes = recipe_named(run.options().recipe).rank == 3;
  epochs = run.options().epochs;
  const TrainingStart start = run.begin();
  status.print(text(start.resumed ? "resuming after step " : "training from step ", start.step, " of ", start.steps,
                    ": ", start.training, " ", start.unit, ", ", start.validation, " for validation, ", start.classes,
                    " class(es), ", start.parameters, " parameters, ", Context::current().arithmetic(), ", ",
                    Context::current().threads(), " thread(s)"));
  const TrainingResult done = run.train();
  status.clear();
  std::cout << "best epoch " << done.best_epoch << " of " << done.epochs << ": " << done.best_by << " "
            << fixed(done.best, 4) << '\n'
            << done.model.string() << '\n';
}

}  // namespace

void add_train(CommandLine& program) {
  const Verb verb = program.add_verb("train", "Train a model on images and masks, or on volumes and labels");
  auto a = std::make_shared<Arguments>();
  TrainingOptions& o = a->options;
  verb.add("--data", o.data.folder,
           "Folder of images/STEM.png (.jpg, .bmp) and masks/K/STEM.png (.bmp) for the classes K = 0, 1, ...; or of "
           "imagesTr/STEM.nii.gz and labelsTr/STEM.nii.gz")
      .required();
  for_each_option(o, [&](const char* name, auto& value, const Allowed& allowed, const char* help) {
    using T = std::decay_t<decltype(value)>;
    const std::string option = std::string("--") + name;
    if constexpr (std::is_same_v<T, bool>) {
      verb.add_flag(option, value, help);
    } else {
      const bool bounded = !std::is_same_v<T, std::string> && allowed.most != Allowed{}.most;
      const Option added = verb.add(option, value, bounded ? text(help, " (", description(allowed, value), ')') : help);
      if (allowed.count > 0) added.values(static_cast<int>(allowed.count), static_cast<int>(allowed.count));
      if (value != T{} && allows(allowed, value)) added.shows_default();
    }
  });
  verb.add("--classes", o.data.classes, "Names of the classes; default: the data's, or class 0, class 1, ...")
      .separated_by(',');
  verb.add("--cache-mb", o.cache_mb, "Decoded images or volumes kept in memory, at most")
      .range(0, 1 << 20)
      .shows_default();
  verb.add_flag("--resume", o.resume, "Go on with the run in --out");
  verb.add_flag("--allow-drift", o.allow_drift,
                "Resume although the instruction set is another one: last bits will differ");
  verb.add("--out", o.out, "Folder of the run").required();
  add_machine(verb, a->machine);
  verb.action([a, verb] { train(*a, verb); });
}

}  // namespace lgms::tools
