// Training on volumes: NIfTI images and labels, one softmax, Dice and cross-entropy, AdamW.
#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "autograd/ops.h"
#include "core/error.h"
#include "core/formats/image.h"
#include "core/io/class_names.h"
#include "core/io/files.h"
#include "lgmsnet/mosaic.h"
#include "lgmsnet/predictor.h"
#include "lgmsnet/training/study.h"
#include "nn/data/patches.h"
#include "nn/data/volumes.h"
#include "nn/metrics.h"
#include "nn/schedule.h"

namespace lgms {
namespace {

namespace fs = std::filesystem;

constexpr kernels::AdamW kAdamW{.rate = 0, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-5};
constexpr int64_t kPaperWarmUp = 50;  // epochs

// The volumes of a run, read as the recipe wants them: image f32 on the network's grid, labels u8 on the same.
class Reader {
 public:
  Reader(VolumeRecipe recipe, const std::vector<nn::VolumeCase>& cases, int64_t classes)
      : recipe_(std::move(recipe)), classes_(classes) {
    for (const nn::VolumeCase& c : cases) cases_.emplace(c.stem, c);
  }
  const nn::VolumeCase& files(const std::string& stem) const { return cases_.at(stem); }

  nn::Example operator()(const std::string& stem) const {
    const nn::VolumeCase& c = files(stem);
    const io::Volume image = io::read_nifti(c.image), label = io::read_nifti(c.label);
    nn::check_same_grid(image.header, c.image, label.header, c.label);
    const Tensor labels = nn::labels_of(label, c.label, classes_);
    VolumeInput input =
        about_file(c.image.string(), [&] { return make_volume_input(recipe_, image.voxels, image.header.affine); });
    return {stem, std::move(input.image), make_volume_labels(input.grid, labels)};
  }

 private:
  VolumeRecipe recipe_;
  int64_t classes_;
  std::unordered_map<std::string, nn::VolumeCase> cases_;
};

// What the headers and labels of the data say before anything is trained.
struct Survey {
  VolumeRecipe recipe;
  std::vector<std::string> names;
};

Survey survey(const TrainingPlan& plan, const nn::VolumeList& train) {
  const TrainingOptions& o = plan.options;
  Survey s{VolumeRecipe::named(o.recipe), train.classes};
  if (!o.spacing.empty()) std::copy_n(o.spacing.begin(), 3, s.recipe.spacing.begin());
  if (!o.patch.empty()) {
    std::copy_n(o.patch.begin(), 3, s.recipe.patch.begin());
  } else if (!plan.paper()) {
    std::vector<Size3> sizes;
    for (const nn::VolumeCase& c : train.cases) {
      const io::NiftiHeader header = io::read_nifti_header(c.image);
      sizes.push_back(
          about_file(c.image.string(), [&] { return volume_grid(s.recipe, header.size, header.affine).resampled; }));
    }
    s.recipe.patch = nn::patch_of(sizes);
  }
  if (s.names.empty() && !o.data.classes.empty()) s.names = o.data.classes;
  if (s.names.empty()) {
    uint8_t most = 0;
    for (const nn::VolumeCase& c : train.cases) {
      const Tensor labels = nn::labels_of(io::read_nifti(c.label), c.label);
      const auto values = labels.span<uint8_t>();
      most = std::max(most, *std::max_element(values.begin(), values.end()));
    }
    s.names.push_back("background");
    for (int k = 1; k <= most; ++k) s.names.push_back("class " + std::to_string(k));
  }
  check(s.names.size() >= 2, ErrorKind::data, "[", o.data.folder,
        "] labels: expected a class besides the background, got ", "labels of 0 only");
  return s;
}

class VolumeStudy final : public Study {
 public:
  VolumeStudy(const TrainingPlan& plan, const Survey& s, const nn::VolumeList& training,
              const nn::VolumeList& validation)
      : VolumeStudy(plan, s, training, validation,
                    Reader(s.recipe, all_of(training, validation), std::ssize(s.names))) {}

  nn::Input prepare(const nn::Example& example, Rng* rng) const override {
    return nn::random_patch(example, patch_, *rng);
  }

  double rate(int64_t step, int64_t batches) const override {
    if (paper_)
      return nn::warm_up_cosine_epoch_rate(base_rate_, step / batches, epochs_, std::min(kPaperWarmUp, epochs_));
    return nn::warm_up_cosine_rate(base_rate_, step, epochs_ * batches);
  }

  // Dice of each class on the network's grid: the mean over the volumes that have it, or in which it was found;
  // "val_dice" is the mean over the classes but the background.
  nn::NamedScores validate(const LGMSNet& net, const std::function<void(int64_t, int64_t)>& on_part) const override {
    const Predictor predictor(model, net.inference());
    const int64_t classes = model.config.classes;
    std::vector<double> sum(static_cast<size_t>(classes)), count(static_cast<size_t>(classes));
    for (int64_t i = 0; i < val.size() && !Context::current().stop().requested(); ++i) {
      on_part(i, val.size());
      const nn::Example e = val.example(i);
      const std::vector<nn::Counts> counts = nn::count_labels(predictor.grid_labels(e.image), e.masks, classes);
      for (size_t k = 0; k < sum.size(); ++k)
        if (const double dice = nn::scores(counts[k], nn::EmptyPolicy::exclude).dice; !std::isnan(dice)) {
          sum[k] += dice;
          ++count[k];
        }
    }
    nn::NamedScores scores{{"val_dice", 0}};
    double present = 0;
    for (size_t k = 1; k < sum.size(); ++k) {
      const double dice = count[k] > 0 ? sum[k] / count[k] : 0;
      scores.emplace_back(text("val_dice_", k), dice);
      scores[0].second += dice;
      present += count[k] > 0 ? 1 : 0;
    }
    scores[0].second /= std::max(present, 1.0);
    return scores;
  }

  // Up to three, evenly spread, as predict would label them; the truth's contours in green.
  void write_pictures(const LGMSNet& net, const fs::path& folder) const override {
    const Predictor predictor(model, net.inference());
    const int64_t count = std::min<int64_t>(3, val.size());
    for (int64_t n = 0; n < count; ++n) {
      const nn::VolumeCase& c = reader_.files(val.stems()[static_cast<size_t>(n * val.size() / count)]);
      const io::Volume image = io::read_nifti(c.image), label = io::read_nifti(c.label);
      PredictOptions options;
      options.affine = image.header.affine;
      const Tensor labels = predictor.predict(image.voxels.clone(), options).labels;
      io::write_png(
          folder / io::file_name_of(c.stem, ".png"),
          mosaic(image.voxels, labels, image.header.affine, nn::labels_of(label, c.label, model.config.classes)));
    }
  }

 private:
  VolumeStudy(const TrainingPlan& plan, const Survey& s, const nn::VolumeList& training,
              const nn::VolumeList& validation, Reader reader)
      : Study(training.stems(), validation.stems(), reader, plan.options.cache_mb),
        reader_(std::move(reader)),
        paper_(plan.paper()),
        base_rate_(plan.options.rate),
        epochs_(plan.options.epochs) {
    const TrainingOptions& o = plan.options;
    model = initial_model(plan, "3d", std::ssize(s.names), s.names);
    if (!plan.given("classes"))
      io::compare_class_names(model.classes, training.classes, "[" + o.data.folder + "] labels");
    check(model.config.in_channels == 1, ErrorKind::model, "[", o.init.empty() ? o.network : o.init,
          "] expected a network of one input channel, got ", model.config.in_channels);
    model.volume_recipe = s.recipe;
    patch_ = {.size = s.recipe.patch,
              .jitter = s.recipe.intensity_jitter,
              .outside = s.recipe.pad_edge ? transform::Outside::edge : transform::Outside::zero};
    settings = {{"patch", text(s.recipe.patch[0], ' ', s.recipe.patch[1], ' ', s.recipe.patch[2])},
                {"spacing", text(s.recipe.spacing[0], ' ', s.recipe.spacing[1], ' ', s.recipe.spacing[2])},
                {"crops", std::to_string(o.crops)}};
    loss = autograd::dice_ce_loss;
    optimizer = kAdamW;
    optimizer_notes = io::Json::object({{"name", "adamw"},
                                        {"betas", std::array{kAdamW.beta1, kAdamW.beta2}},
                                        {"eps", kAdamW.eps},
                                        {"weight_decay", kAdamW.weight_decay},
                                        {"schedule", paper_ ? "warm-up 50 epochs, cosine" : "warm-up 5 %, cosine"}});
    unit = "volumes";
  }

  static std::vector<nn::VolumeCase> all_of(const nn::VolumeList& training, const nn::VolumeList& validation) {
    std::vector<nn::VolumeCase> all = training.cases;
    for (const nn::VolumeCase& c : validation.cases) {
      const auto same = std::find_if(all.begin(), all.end(), [&](const auto& other) { return other.stem == c.stem; });
      check(same == all.end() || same->image == c.image, ErrorKind::data, "[train] \"", c.stem,
            "\" names two volumes: ", same == all.end() ? "" : same->image.string(), " and ", c.image.string());
      if (same == all.end()) all.push_back(c);
    }
    return all;
  }

  Reader reader_;
  bool paper_;
  double base_rate_;
  int64_t epochs_;
  nn::PatchOptions patch_;
};

}  // namespace

std::unique_ptr<Study> volume_study(const TrainingPlan& plan) {
  const TrainingData& data = plan.options.data;
  const nn::VolumeList training = nn::read_volume_list(data.folder, data.train_list, "training"),
                       validation = nn::read_volume_list(data.folder, data.val_list, "validation");
  return std::make_unique<VolumeStudy>(plan, survey(plan, training), training, validation);
}

}  // namespace lgms
