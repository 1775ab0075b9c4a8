// lgmsnet predict: masks of images.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <map>
#include <memory>

#include "core/error.h"
#include "core/io/image.h"
#include "core/io/npy.h"
#include "core/io/output_file.h"
#include "core/transform/layout.h"
#include "lgmsnet/recipe.h"
#include "tools/model.h"
#include "tools/overlay.h"
#include "tools/session.h"
#include "tools/status_line.h"
#include "tools/verbs.h"

namespace lgms::tools {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string model, out, recipe;
  std::vector<std::string> inputs;
  double threshold = -1;
  bool overlay = false, probabilities = false, native_size = false, overwrite = false;
  Machine machine;
};

bool is_image_name(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg" || extension == ".bmp";
}

// The files named and the images of the folders named, sorted within a folder.
std::vector<fs::path> files_of(const std::vector<std::string>& inputs) {
  std::vector<fs::path> files;
  for (const fs::path input : inputs) {
    if (!fs::is_directory(input)) {
      files.push_back(input);
      continue;
    }
    std::vector<fs::path> inside;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(input, error))
      if (entry.is_regular_file() && is_image_name(entry.path())) inside.push_back(entry.path());
    check(!error, ErrorKind::data, "[", input.string(), "] the folder cannot be read: ", error.message());
    check(!inside.empty(), ErrorKind::usage, "[", input.string(),
          "] expected PNG, JPEG or BMP images in the folder, got none");
    std::sort(inside.begin(), inside.end());
    files.insert(files.end(), inside.begin(), inside.end());
  }
  return files;
}

// Everything that one image leaves in the output folder.
struct Outputs {
  std::vector<fs::path> masks;
  fs::path overlay, probabilities;  // empty where not asked for
};

Outputs outputs_of(const Arguments& a, const std::string& stem, int64_t classes) {
  const fs::path out = a.out;
  Outputs outputs;
  for (int64_t k = 0; k < classes; ++k)
    outputs.masks.push_back((classes == 1 ? out : out / std::to_string(k)) / (stem + ".png"));
  if (a.overlay) outputs.overlay = out / (stem + "_overlay.png");
  if (a.probabilities) outputs.probabilities = out / (stem + "_probability.npy");
  return outputs;
}

// Two results never meet in one file, and no file is lost: checked before anything is computed.
void check_outputs(const std::vector<fs::path>& files, const Arguments& a, int64_t classes) {
  std::map<fs::path, fs::path> owner;
  for (const fs::path& file : files) {
    const Outputs outputs = outputs_of(a, file.stem().string(), classes);
    std::vector<fs::path> paths = outputs.masks;
    for (const fs::path& path : {outputs.overlay, outputs.probabilities})
      if (!path.empty()) paths.push_back(path);
    for (const fs::path& path : paths) {
      const auto [before, fresh] = owner.emplace(path, file);
      check(fresh, ErrorKind::usage, "[predict] ", before->second.string(), " and ", file.string(),
            " would both write ", path.string(), "; predict them into different folders");
      check(a.overwrite || !fs::exists(path), ErrorKind::usage, "[", path.string(),
            "] exists already; --overwrite replaces it");
      std::error_code ignored;
      check(!fs::equivalent(path, file, ignored), ErrorKind::usage, "[", path.string(),
            "] is an input; choose another output folder");
    }
  }
}

void predict_one(const Model& model, const fs::path& file, const Arguments& a) {
  const Tensor image = io::read_image(file, 3);
  const Tensor p = model.probabilities(image, a.native_size);
  const Tensor masks = masks_from(p, model.file.recipe.threshold);
  const Outputs outputs = outputs_of(a, file.stem().string(), p.channels());
  for (size_t k = 0; k < outputs.masks.size(); ++k)
    io::write_png(outputs.masks[k], masks.slice(static_cast<int64_t>(k), 1).clone());
  if (a.overlay) io::write_png(outputs.overlay, overlay(image, masks));
  if (a.probabilities) {
    const int64_t h = p.shape()[0], w = p.shape()[1], k = p.channels();
    io::write_npy(outputs.probabilities,
                  transform::to_channels_first(p.reshaped({1, 1, h, w, k}), 2).reshaped({k, h, w}));
  }
}

void predict(const Arguments& a) {
  Session session(a.machine);
  Model model(a.model, a.recipe);
  if (a.threshold >= 0) model.file.recipe.threshold = a.threshold;
  const int64_t classes = model.file.config.classes;
  const std::vector<fs::path> files = files_of(a.inputs);
  check_outputs(files, a, classes);
  io::ensure_directory(a.out);
  for (int64_t k = 0; k < classes && classes > 1; ++k) io::ensure_directory(fs::path(a.out) / std::to_string(k));

  StatusLine status;
  size_t done = 0, failed = 0;
  for (const fs::path& file : files) {
    session.stop_if_asked(text(done, " of ", files.size(), " images are in ", a.out));
    status.show(text(bar(static_cast<double>(done + failed) / static_cast<double>(files.size()), 20), " ",
                     done + failed, " of ", files.size(), "  ", file.string()));
    try {
      predict_one(model, file, a);
      ++done;
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::data) throw;
      ++failed;
      status.print(text("lgmsnet: ", e.what()));
    }
  }
  status.clear();
  std::cout << done << " of " << files.size() << " images predicted into " << a.out << '\n';
  check(failed == 0, ErrorKind::some_failed, "[predict] ", failed, " of ", files.size(), " images could not be read");
}

}  // namespace

void add_predict(CLI::App& program) {
  CLI::App* app = program.add_subcommand("predict", "Write the masks of images");
  auto a = std::make_shared<Arguments>();
  app->add_option("-m,--model", a->model, "Model file (safetensors)")->required();
  app->add_option("-i,--input", a->inputs, "Images (PNG, JPEG, BMP) and folders of images")->required();
  app->add_option("-o,--out", a->out, "Folder for STEM.png (0 and 255; K/STEM.png for several classes)")->required();
  app->add_flag("--overlay", a->overlay, "Also STEM_overlay.png: the mask over the image");
  app->add_flag("--probabilities", a->probabilities, "Also STEM_probability.npy: f32 [K, H, W]");
  app->add_flag("--native-size", a->native_size, "Run the network at the image's own size, padded to multiples of 32");
  app->add_flag("--overwrite", a->overwrite, "Replace files that exist");
  app->add_option("--threshold", a->threshold, "Foreground above this probability; default: the model's")
      ->check(CLI::Range(0.0, 1.0));
  app->add_option("--recipe", a->recipe, "For a model file that has none")
      ->check(CLI::IsMember({"default-2d", "paper-2d"}));
  add_machine(*app, a->machine);
  app->callback([a] { predict(*a); });
}

}  // namespace lgms::tools
