// lgmsnet eval of volumes: label files, or what a 3D model predicts, against the truth.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <functional>
#include <iomanip>
#include <iostream>
#include <map>

#include "core/error.h"
#include "core/formats/image.h"
#include "core/formats/nifti.h"
#include "core/io/class_names.h"
#include "core/io/files.h"
#include "core/io/output_file.h"
#include "lgmsnet/mosaic.h"
#include "lgmsnet/predictor.h"
#include "lgmsnet/training/volume_report.h"
#include "nn/data/volumes.h"
#include "tools/eval.h"
#include "tools/printing.h"
#include "tools/status_line.h"

namespace lgms::tools {
namespace {

namespace fs = std::filesystem;

// The labels u8 [D, H, W, 1] predicted for a case, on the grid of its truth; what: "case 3 of 20".
using Predict = std::function<Tensor(const nn::VolumeCase& c, const io::NiftiHeader& truth, const std::string& what)>;

constexpr int width_of(std::string_view score) { return static_cast<int>(std::max<size_t>(8, score.size())) + 2; }

void print(const VolumeReport& report, const EvalArguments& a) {
  std::cout << report.cases().size() << " volumes, surface Dice at " << a.tolerance
            << " mm, empty masks: " << a.empty_policy << '\n';
  size_t width = std::string_view("mean with background").size() + 2;
  for (const std::string& name : report.classes()) width = std::max(width, printable(name).size() + 2);
  const auto first = [&](const std::string& name) {
    std::cout << std::left << std::setw(static_cast<int>(width)) << name << std::right;
  };
  const auto numbers = [](const ScoreValues& values) {
    for (size_t i = 0; i < values.size(); ++i)
      std::cout << std::setw(width_of(kScoreNames[i])) << (std::isnan(values[i]) ? "-" : fixed(values[i], 4));
  };
  first("");
  for (const char* name : kScoreNames) std::cout << std::setw(width_of(name)) << name;
  std::cout << "   both  neither  missed  invented\n";
  for (size_t k = 0; k < report.classes().size(); ++k) {
    const ClassSummary summary = report.of_class(k);
    first(printable(report.classes()[k]));
    numbers(summary.mean);
    std::cout << std::setw(7) << summary.both << std::setw(9) << summary.neither << std::setw(8) << summary.missed
              << std::setw(10) << summary.invented << '\n';
  }
  first("mean of foreground");
  numbers(report.mean(false));
  std::cout << '\n';
  first("mean with background");
  numbers(report.mean(true));
  std::cout << '\n';
}

// The predicted labels of the worst cases so far, by foreground Dice.
class Worst {
 public:
  explicit Worst(int64_t most) : most_(static_cast<size_t>(most)) {}

  void offer(const nn::VolumeCase& c, double foreground_dice, const Tensor& labels) {
    if (most_ == 0 || std::isnan(foreground_dice)) return;
    kept_.emplace(foreground_dice, Kept{c, labels});
    if (kept_.size() > most_) kept_.erase(std::prev(kept_.end()));
  }
  // 1_STEM.png, 2_STEM.png, ...: the slices with the largest disagreement.
  void draw(const fs::path& folder) const {
    if (kept_.empty() && io::look_at(folder, ErrorKind::output) == io::Found::nothing) return;
    io::ensure_directory(folder);
    const auto is_ranked = [](const fs::path& path) {
      const std::string name = path.filename().string();
      return std::isdigit(static_cast<unsigned char>(name.front())) != 0 &&
             name.find_first_not_of("0123456789") == name.find('_') && name.ends_with(".png");
    };
    for (const fs::path& path : io::files_in(folder, is_ranked)) {  // those of an evaluation before
      std::error_code error;
      fs::remove(path, error);
      check(!error, ErrorKind::output, "[", path.string(), "] cannot be removed: ", error.message());
    }
    for (int rank = 1; const auto& [dice, kept] : kept_) {
      const io::Volume image = io::read_nifti(kept.of.image);
      const Tensor truth = nn::labels_of(io::read_nifti(kept.of.label), kept.of.label);
      check(image.voxels.shape() == truth.shape(), ErrorKind::data, "[", kept.of.image.string(),
            "] size: expected that of ", kept.of.label.string());
      MosaicOptions options;
      options.differences = true;
      io::write_png(folder / io::file_name_of(text(rank++, '_', kept.of.stem), ".png"),
                    mosaic(image.voxels, kept.labels, image.header.affine, truth, options));
    }
  }

 private:
  struct Kept {
    nn::VolumeCase of;
    Tensor labels;
  };
  size_t most_;
  std::multimap<double, Kept> kept_;
};

void score(Session& session, const EvalArguments& a, const nn::VolumeList& list, std::vector<std::string> classes,
           const Predict& predict) {
  VolumeReport report(std::move(classes), empty_policy_named(a.empty_policy), a.tolerance);
  Worst worst(a.out.empty() ? 0 : a.worst);
  if (!a.out.empty()) {
    const io::Found there = io::look_at(a.out, ErrorKind::output);
    check(there == io::Found::nothing || there == io::Found::folder, ErrorKind::output, "[", a.out,
          "] expected a folder, or nothing yet, got a file");
  }
  StatusLine status;
  for (const nn::VolumeCase& c : list.cases) {
    const size_t done = report.cases().size();
    session.stop_if_asked(text("scored ", done, " of ", list.cases.size(), " volumes"));
    const std::string what = text("volume ", done + 1, " of ", list.cases.size(), "  ", c.stem);
    status.show(what);
    const io::Volume truth = io::read_nifti(c.label);
    const Tensor labels = nn::labels_of(truth, c.label, static_cast<int64_t>(report.classes().size()));
    const Tensor predicted = predict(c, truth.header, what);
    report.add(c.stem, predicted, labels, spacing_of(truth.header.affine));
    worst.offer(c, report.cases().back().foreground_dice, predicted);
  }
  status.clear();
  if (a.json)
    std::cout << report.to_json() << std::flush;
  else
    print(report, a);
  if (!a.out.empty()) {
    io::ensure_directory(a.out);
    io::write_file(fs::path(a.out) / "summary.json", report.to_json());
    io::write_file(fs::path(a.out) / "per_case.csv", report.to_csv());
    worst.draw(fs::path(a.out) / "worst");
  }
}

// The file of a case's predicted labels: named as the case, its image or its truth. Throws Error{data} where there is
// none.
fs::path prediction_of(io::NiftiFolders& folders, const fs::path& folder, const nn::VolumeCase& c) {
  for (const std::string& stem : {c.stem, io::nifti_stem(c.image), io::nifti_stem(c.label)})
    if (const fs::path path = folders.find(folder, stem); !path.empty()) return path;
  fail(ErrorKind::data, "[", (folder / (c.stem + ".nii.gz")).string(), "] no such file: the predicted labels of \"",
       c.stem, "\"");
}

// "label 0", ... up to the largest label of these files.
std::vector<std::string> classes_in(Session& session, const std::vector<fs::path>& files) {
  int most = 1;
  for (const fs::path& file : files) {
    session.stop_if_asked("nothing was scored");
    for (uint8_t label : nn::labels_of(io::read_nifti(file), file).span<uint8_t>()) most = std::max<int>(most, label);
  }
  std::vector<std::string> names{"background"};
  for (int k = 1; k <= most; ++k) names.push_back(text("label ", k));
  return names;
}

}  // namespace

void eval_label_files(const EvalArguments& a) {
  Session session(a.machine);
  const nn::VolumeList list = nn::read_volume_list(a.data, a.list, "validation");
  io::NiftiFolders folders;
  std::vector<fs::path> files;
  for (const nn::VolumeCase& c : list.cases)
    files.insert(files.end(), {prediction_of(folders, a.predictions, c), c.label});
  score(session, a, list, list.classes.empty() ? classes_in(session, files) : list.classes,
        [&](const nn::VolumeCase& c, const io::NiftiHeader& truth, const std::string&) {
          const fs::path path = prediction_of(folders, a.predictions, c);
          const io::Volume volume = io::read_nifti(path);
          nn::check_same_grid(truth, c.label, volume.header, path);
          return nn::labels_of(volume, path, static_cast<int64_t>(list.classes.size()));
        });
}

void eval_volume_model(const EvalArguments& a, ModelFile file) {
  Session session(a.machine, true);
  const Predictor predictor(std::move(file), a.model);
  const std::vector<std::string>& classes = predictor.model().classes;
  const nn::VolumeList list = nn::read_volume_list(a.data, a.list, "validation");
  io::compare_class_names(classes, list.classes, "[" + a.data + "] labels");
  StatusLine status;
  score(session, a, list, classes, [&](const nn::VolumeCase& c, const io::NiftiHeader& truth, const std::string& what) {
    io::Volume image = io::read_nifti(c.image);
    nn::check_same_grid(image.header, c.image, truth, c.label);
    PredictOptions options;
    options.affine = image.header.affine;
    options.progress = [&](int64_t done, int64_t all) {
      status.show(what, static_cast<double>(done) / static_cast<double>(all));
    };
    return about_file(c.image.string(), [&] { return predictor.predict(std::move(image.voxels), options).labels; });
  });
}

}  // namespace lgms::tools
