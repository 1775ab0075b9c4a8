// Training on pictures: folders of images and masks, independent sigmoids, BCE and Dice, SGD.
#include <algorithm>

#include "autograd/ops.h"
#include "core/error.h"
#include "core/formats/image.h"
#include "core/io/files.h"
#include "core/io/output_file.h"
#include "lgmsnet/overlay.h"
#include "lgmsnet/predictor.h"
#include "lgmsnet/training/study.h"
#include "nn/data/augment.h"
#include "nn/data/list.h"
#include "nn/data/mask.h"
#include "nn/metrics.h"
#include "nn/schedule.h"

namespace lgms {
namespace {

namespace fs = std::filesystem;

constexpr kernels::Sgd kSgd{.rate = 0, .momentum = 0.9, .weight_decay = 1e-4};

std::vector<std::string> stems_of(const nn::ImageFolder& folder, const std::string& list) {
  std::vector<std::string> stems = nn::read_list(folder.root() / list);  // an absolute list replaces the folder
  folder.require(stems);
  return stems;
}

class PictureStudy final : public Study {
 public:
  PictureStudy(const TrainingPlan& plan, const nn::ImageFolder& folder)
      : Study(
            stems_of(folder, plan.options.data.train_list), stems_of(folder, plan.options.data.val_list),
            [folder](const std::string& stem) { return folder.read(stem); }, plan.options.cache_mb),
        base_rate_(plan.options.rate),
        epochs_(plan.options.epochs),
        batch_(plan.options.batch) {
    const TrainingOptions& o = plan.options;
    std::vector<std::string> names;
    for (int64_t k = 0; k < folder.classes(); ++k) names.push_back("class " + std::to_string(k));
    model = initial_model(plan, "2d", folder.classes(), std::move(names));
    model.recipe = Recipe::named(o.recipe);
    model.recipe.size = {o.size, o.size};
    if (o.mask_threshold >= 0) model.recipe.mask_threshold = o.mask_threshold;
    model.recipe.threshold_given = o.mask_threshold == Recipe{}.mask_threshold;
    model.recipe.white = o.white;
    settings = {{"size", std::to_string(o.size)},
                {"mask-threshold", std::to_string(model.recipe.mask_threshold)},
                {"threshold-given", model.recipe.threshold_given ? "true" : "false"},
                {"white", std::to_string(model.recipe.white)}};
    older = {{"white", "0"}, {"threshold-given", "false"}};
    loss = autograd::bce_dice_loss;
    optimizer = kSgd;
    optimizer_notes = io::Json::object(
        {{"name", "sgd"}, {"momentum", kSgd.momentum}, {"weight_decay", kSgd.weight_decay}, {"schedule", "poly 0.9"}});
    if (plan.paper()) best_by = "val_iou";
    unit = "images";
  }

  nn::Input prepare(const nn::Example& example, Rng* rng) const override {
    if (rng == nullptr) return {make_input(model.recipe, example.image), make_target(model.recipe, example.masks)};
    const nn::RotateFlip move = nn::RotateFlip::draw(*rng);
    return {make_input(model.recipe, move(example.image)), make_target(model.recipe, move(example.masks))};
  }

  double rate(int64_t step, int64_t batches) const override {
    return nn::poly_rate(base_rate_, step, epochs_ * batches);
  }

  nn::NamedScores validate(const LGMSNet& net, const std::function<void(int64_t, int64_t)>& on_part) const override {
    const auto forward = [network = net.inference()](const Tensor& x, bool) {
      return autograd::Variable(network.forward(x));
    };
    return nn::validate_masks(
        forward, loss, val, [this](const nn::Example& e, Rng* rng) { return prepare(e, rng); }, batch_, on_part);
  }

  // Up to four, evenly spread: the prediction tinted, the truth's edge in green.
  void write_pictures(const LGMSNet& net, const fs::path& folder) const override {
    const Predictor predictor(model, net.inference());
    const int64_t count = std::min<int64_t>(4, val.size());
    for (int64_t n = 0; n < count; ++n) {
      const nn::Example e = val.example(n * val.size() / count);
      const Tensor masks = predictor.predict(e.image).labels;
      const Tensor truth = masks_from(e.masks.to(DType::f32), nn::kMaskMiddle);
      io::write_png(folder / io::file_name_of(e.stem, ".png"), overlay(e.image, masks, truth));
    }
  }

 private:
  double base_rate_;
  int64_t epochs_, batch_;
};

}  // namespace

std::unique_ptr<Study> picture_study(const TrainingPlan& plan) {
  const TrainingOptions& o = plan.options;
  const auto threshold = o.mask_threshold >= 0 ? std::optional(o.mask_threshold) : std::nullopt;
  const std::string& folder = o.data.folder;
  return std::make_unique<PictureStudy>(plan, nn::ImageFolder(folder, nn::mask_classes(folder), threshold, o.white));
}

}  // namespace lgms
