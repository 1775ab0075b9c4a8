// lgmsnet predict with a 3D model: labels of volumes.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <optional>
#include <utility>

#include "core/error.h"
#include "core/formats/image.h"
#include "core/formats/nifti.h"
#include "core/io/bytes.h"
#include "core/io/files.h"
#include "core/io/json.h"
#include "core/io/output_file.h"
#include "lgmsnet/mosaic.h"
#include "lgmsnet/predictor.h"
#include "lgmsnet/probability_spool.h"
#include "tools/inputs.h"
#include "tools/predict.h"
#include "tools/read_ahead.h"

namespace lgms::tools {
namespace {

namespace fs = std::filesystem;
using io::Json;

// Everything that one volume leaves in the output folder, besides labels.json for all.
struct Outputs {
  fs::path labels, statistics, preview;  // empty where not asked for
  std::vector<fs::path> probabilities;

  std::vector<fs::path> all() const {
    std::vector<fs::path> paths = probabilities;
    for (const fs::path& path : {labels, statistics, preview})
      if (!path.empty()) paths.push_back(path);
    return paths;
  }
};

Outputs outputs_of(const PredictArguments& a, const fs::path& file, int64_t classes) {
  const fs::path out = a.out;
  const std::string stem = io::nifti_stem(file);
  const auto named = [&](const std::string& ending) { return out / io::file_name_of(stem, ending); };
  Outputs outputs{named(".nii.gz"), {}, {}, {}};
  if (a.statistics) outputs.statistics = named(".json");
  if (a.preview) outputs.preview = named(".png");
  for (int64_t k = 0; k < classes && a.probabilities; ++k)
    outputs.probabilities.push_back(named(text("_probability_", k, ".nii.gz")));
  return outputs;
}

// The model with what the arguments change in its recipe.
ModelFile with_recipe(ModelFile file, const PredictArguments& a) {
  VolumeRecipe& recipe = file.volume_recipe;
  for (size_t i = 0; i < a.patch.size(); ++i) {
    check(a.patch[i] > 0 && a.patch[i] % 32 == 0, ErrorKind::usage, "[--patch] expected multiples of 32, got ",
          a.patch[i]);
    recipe.patch[i] = a.patch[i];
  }
  if (a.overlap >= 0) recipe.overlap = a.overlap;
  if (!a.blending.empty()) recipe.gaussian = a.blending == "gaussian";
  return file;
}

std::string megabytes(int64_t bytes) {
  return bytes < 1'000'000 ? text(bytes, " bytes") : text((bytes + 999'999) / 1'000'000, " MB");
}
// A limit: rounded to the side on which it still holds.
std::string at_most(int64_t bytes) { return bytes < 1'000'000 ? megabytes(bytes) : text(bytes / 1'000'000, " MB"); }
std::string extents(const Size3& s) { return text(s[0], " x ", s[1], " x ", s[2]); }

// One program run: a model, where it computes, what is wanted of it.
class VolumePrediction {
 public:
  VolumePrediction(const PredictArguments& arguments, ModelFile file)
      : a_(arguments), session_(a_.machine, true), predictor_(with_recipe(std::move(file), a_), a_.model) {}

  void run() {
    const std::vector<fs::path> files = files_of(a_.inputs, "NIfTI volumes (.nii, .nii.gz)", io::is_nifti_name);
    if (!a_.dry_run)
      check_outputs(files, a_.overwrite,
                    [&](const fs::path& file) { return outputs_of(a_, file, model().config.classes).all(); });
    if (!a_.dry_run) check_names(files);
    std::vector<std::optional<VolumeCost>> costs;
    costs.reserve(files.size());
    for (const fs::path& file : files) costs.push_back(cost_of(file));
    if (a_.dry_run) return describe(files, costs);
    io::ensure_directory(a_.out);
    for_each_file(session_, status_, files, "volumes", a_.out, [&](const fs::path& file, size_t i) {
      segment(file, text(i + 1, " of ", files.size(), "  ", file.string()),
              bytes_ahead(costs, i) > 0 ? files[i + 1] : fs::path());
    });
  }

 private:
  // labels.json belongs to all masks of the folder.
  void check_names(const std::vector<fs::path>& files) const {
    for (const fs::path& file : files)
      check(outputs_of(a_, file, 1).statistics != labels_json(), ErrorKind::usage, "[", file.string(),
            "] its statistics would be written over the classes' names, ", labels_json().string(), "; rename it");
    if (a_.overwrite || io::look_at(labels_json(), ErrorKind::output) == io::Found::nothing) return;
    const io::Bytes there = io::read_file(labels_json());
    check(std::string(there.begin(), there.end()) == names_text(), ErrorKind::usage, "[", labels_json().string(),
          "] names other classes; choose another output folder, --overwrite replaces it");
  }
  const ModelFile& model() const { return predictor_.model(); }
  const VolumeRecipe& recipe() const { return model().volume_recipe; }
  fs::path labels_json() const { return fs::path(a_.out) / "labels.json"; }

  PredictOptions options_of(const io::NiftiHeader& header) const {
    PredictOptions options;
    options.affine = header.affine;
    options.mirror = a_.mirror;
    options.keep_largest = a_.keep_largest;
    options.min_millilitres = a_.min_volume;
    options.statistics = a_.statistics;
    return options;
  }
  bool whole_volumes() const { return a_.preview || a_.probabilities; }

  // Absent where the header cannot be used: that is reported when its turn comes.
  std::optional<VolumeCost> cost_of(const fs::path& file) const {
    try {
      const io::NiftiHeader header = io::read_nifti_header(file);
      const VolumeCost cost = predictor_.cost(header.size, options_of(header), whole_volumes(), a_.program_bytes);
      const int64_t most = max_memory();
      if (!a_.dry_run && cost.peak_bytes() > most)
        fail(ErrorKind::device, "[", file.string(), "] expected to need at most ",
             a_.max_memory > 0 ? "--max-memory " : "this machine's memory, ", at_most(most), ", the estimate is ",
             megabytes(cost.peak_bytes()), " (", cost.largest().name, ", ", cost.runs, " windows of ",
             extents(recipe().patch), "); ", what_fits(header, most));
      return cost;
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::data) throw;
      return {};
    }
  }
  // Of the volume behind this one, which is read while this one is computed, if there is memory for both; else 0.
  int64_t bytes_ahead(const std::vector<std::optional<VolumeCost>>& costs, size_t i) const {
    if (i + 1 >= costs.size() || !costs[i] || !costs[i + 1]) return 0;
    const int64_t next = costs[i + 1]->voxel_bytes;
    return costs[i]->peak_bytes(next) <= max_memory() ? next : 0;
  }
  int64_t max_memory() const {
    const uint64_t most = a_.max_memory > 0 ? a_.max_memory : machine_memory();
    return static_cast<int64_t>(std::min<uint64_t>(most, INT64_MAX));
  }

  std::string what_fits(const io::NiftiHeader& header, int64_t most) const {
    const auto [patch, need] =
        predictor_.fitting_patch(header.size, options_of(header), whole_volumes(), a_.program_bytes, most);
    if (need > most) return text("even --patch 32 32 32 needs ", megabytes(need), "; allow that much");
    return text("--patch ", patch[0], ' ', patch[1], ' ', patch[2], " needs ", megabytes(need),
                ", with results that differ");
  }

  void describe(const std::vector<fs::path>& files, const std::vector<std::optional<VolumeCost>>& costs) {
    const double each = predictor_.seconds_per_window();
    size_t unreadable = 0;
    double seconds = 0;
    int64_t most = 0;
    for (size_t i = 0; i < files.size(); ++i) {
      if (!costs[i]) {
        ++unreadable;
        std::cerr << "lgmsnet: [" << files[i].string() << "] its header cannot be read, or its spacing used\n";
        continue;
      }
      const VolumeCost& c = *costs[i];
      const WindowPlan& w = c.windows;
      seconds += each * static_cast<double>(c.runs);
      most = std::max(most, c.peak_bytes(bytes_ahead(costs, i)));
      std::cout << files[i].string() << "\n  grid      " << extents(w.size)
                << (w.padded == w.size ? "" : ", padded to " + extents(w.padded)) << "\n  windows   "
                << extents({int64_t(w.starts[0].size()), int64_t(w.starts[1].size()), int64_t(w.starts[2].size())})
                << " = " << w.windows() << " of " << extents(w.patch) << (a_.mirror ? ", each mirrored 8 ways" : "")
                << ", advancing along axis "
                << "DHW"[w.axes[0]] << "\n  memory    " << megabytes(c.peak_bytes()) << ", in \"" << c.largest().name
                << "\":";
      const char* before = " ";
      for (const auto& [name, bytes] : c.largest().parts)
        std::cout << std::exchange(before, "; ") << name << ' ' << megabytes(bytes);
      std::cout << "\n  time      about " << duration(each * static_cast<double>(c.runs)) << '\n';
    }
    std::cout << "all: memory " << megabytes(most) << ", time about " << duration(seconds) << " with "
              << session_.context().threads() << " threads (a window of at most 64 voxels a side was timed, and scaled "
              << "by multiply-adds)\n";
    std::cout << (most <= max_memory() ? "fits" : "does not fit") << " into "
              << (a_.max_memory > 0 ? "--max-memory " : "this machine's memory, ") << at_most(max_memory()) << '\n';
    check(unreadable == 0, ErrorKind::some_failed, "[predict] ", unreadable, " of ", files.size(),
          " volumes could not be read");
  }

  void segment(const fs::path& file, const std::string& what, const fs::path& next) {
    io::Volume volume = ahead_.take(file);
    const io::NiftiHeader header = volume.header;
    const Outputs outputs = outputs_of(a_, file, model().config.classes);
    std::optional<ProbabilitySpool> spool;
    PredictOptions options = options_of(header);
    const auto start = std::chrono::steady_clock::now();
    options.progress = [&](int64_t done, int64_t all) {
      if (done == 0 && !next.empty()) ahead_.start(next);
      const double share = static_cast<double>(done) / static_cast<double>(all),
                   took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      status_.show(
          text(done, " of ", all, " windows  ", what, done > 0 ? "  " + duration(took / share - took) + " left" : ""),
          share);
    };
    if (a_.probabilities) {
      spool.emplace(a_.out, model().config.classes);
      options.probabilities = [&](const Size3& at, const TensorView& p) { spool->add(at, p); };
    }
    const Prediction prediction =
        about_file(file.string(), [&] { return predictor_.predict(std::move(volume.voxels), options); });
    write(file, header, prediction, outputs, spool);
  }

  // The labels last: where they are, all else is.
  void write(const fs::path& file, const io::NiftiHeader& header, const Prediction& prediction, const Outputs& outputs,
             const std::optional<ProbabilitySpool>& spool) {
    const Tensor& labels = prediction.labels;
    if (!named_) io::write_file(labels_json(), names_text());
    named_ = true;
    for (size_t k = 0; k < outputs.probabilities.size(); ++k)
      io::write_nifti(outputs.probabilities[k],
                      spool->volume(prediction.grid, prediction.axes, static_cast<int64_t>(k)), header);
    if (!outputs.preview.empty())
      io::write_png(outputs.preview, mosaic(io::read_nifti(file).voxels, labels, header.affine));
    if (!outputs.statistics.empty())
      io::write_file(outputs.statistics, statistics(file, header, prediction.statistics).dump(1) + "\n");
    io::write_nifti_labels(outputs.labels, labels, header, model().classes);
  }

  std::string names_text() const {
    Json object = Json::object();
    for (size_t k = 0; k < model().classes.size(); ++k) object[std::to_string(k)] = model().classes[k];
    return object.dump(1) + "\n";
  }

  Json statistics(const fs::path& file, const io::NiftiHeader& header,
                  const std::vector<LabelStatistics>& labels) const {
    Json list = Json::array();
    for (const LabelStatistics& s : labels) {
      Json one = Json::object({{"label", s.label},
                               {"name", model().classes[static_cast<size_t>(s.label)]},
                               {"voxels", s.voxels},
                               {"volume_ml", s.millilitres}});
      if (s.voxels > 0) {
        one["box"] = Json::object({{"first", s.first}, {"last", s.last}});
        one["centroid_voxels"] = s.centroid;
        one["centroid_mm"] = s.centroid_mm;
      }
      one["touches_border"] = s.touches_border;
      list.push_back(one);
    }
    return Json::object({{"file", file.filename().string()},
                         {"size", std::array{header.size[2], header.size[1], header.size[0]}},
                         {"voxel_ml", voxel_volume(header.affine) / 1000},
                         {"axes", "voxels are (i, j, k) from 0, mm are right, anterior, superior"},
                         {"labels", list}});
  }

  const PredictArguments& a_;
  Session session_;
  StatusLine status_;
  Predictor predictor_;
  ReadAhead ahead_;
  bool named_ = false;
};

}  // namespace

void predict_volumes(const PredictArguments& arguments, ModelFile file) {
  VolumePrediction(arguments, std::move(file)).run();
}

}  // namespace lgms::tools
