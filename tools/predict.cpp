// lgmsnet predict: masks of images.
#include "tools/predict.h"

#include <algorithm>
#include <memory>

#include "core/error.h"
#include "core/formats/image.h"
#include "core/formats/nifti.h"
#include "core/formats/npy.h"
#include "core/io/files.h"
#include "core/io/output_file.h"
#include "core/process_memory.h"
#include "core/transform/layout.h"
#include "lgmsnet/overlay.h"
#include "lgmsnet/predictor.h"
#include "lgmsnet/recipe_names.h"
#include "tools/inputs.h"
#include "tools/verbs.h"

namespace lgms::tools {
namespace {

namespace fs = std::filesystem;

// Everything that one image leaves in the output folder.
struct Outputs {
  std::vector<fs::path> masks;
  fs::path overlay, probabilities;  // empty where not asked for

  std::vector<fs::path> all() const {
    std::vector<fs::path> paths = masks;
    for (const fs::path& path : {overlay, probabilities})
      if (!path.empty()) paths.push_back(path);
    return paths;
  }
};

Outputs outputs_of(const PredictArguments& a, const fs::path& file, int64_t classes) {
  const fs::path out = a.out;
  const std::string stem = file.stem().string();
  Outputs outputs;
  for (int64_t k = 0; k < classes; ++k)
    outputs.masks.push_back((classes == 1 ? out : out / std::to_string(k)) / io::file_name_of(stem, ".png"));
  if (a.overlay) outputs.overlay = out / io::file_name_of(stem, "_overlay.png");
  if (a.probabilities) outputs.probabilities = out / io::file_name_of(stem, "_probability.npy");
  return outputs;
}

void predict_one(const Predictor& predictor, const io::PictureReader& read, const fs::path& file,
                 const PredictArguments& a, uint64_t memory) {
  const Tensor image = read(file);
  PredictOptions options;
  options.native_size = a.native_size;
  const int64_t need = a.program_bytes + predictor.picture_bytes(image.shape(), image.dtype(), options);
  check(static_cast<uint64_t>(need) <= memory, ErrorKind::device, "[", file.string(),
        "] expected a picture that this machine's memory, ", memory / 1'000'000, " MB, holds, got ", image.shape()[0],
        " x ", image.shape()[1], ", which takes about ", need / 1'000'000, " MB",
        a.native_size ? "; leave out --native-size, or cut it into parts" : "; cut it into parts");
  const Prediction prediction = predictor.predict(image, options);
  const Tensor &masks = prediction.labels, &p = prediction.probabilities;
  const Outputs outputs = outputs_of(a, file, p.channels());
  for (size_t k = 0; k < outputs.masks.size(); ++k)
    io::write_png(outputs.masks[k], masks.slice(static_cast<int64_t>(k), 1).clone());
  if (a.overlay) io::write_png(outputs.overlay, overlay(image, masks));
  if (a.probabilities) {
    const int64_t h = p.shape()[0], w = p.shape()[1], k = p.channels();
    io::write_npy(outputs.probabilities,
                  transform::to_channels_first(p.reshaped({1, 1, h, w, k}), 2).reshaped({k, h, w}));
  }
}

void predict_images(const PredictArguments& a, ModelFile loaded) {
  Session session(a.machine);
  if (a.threshold >= 0) loaded.recipe.threshold = a.threshold;
  if (a.white >= 0) loaded.recipe.white = a.white;
  const Predictor predictor(std::move(loaded), a.model);
  const io::PictureReader read(predictor.model().recipe.white);
  const int64_t classes = predictor.model().config.classes;
  const std::vector<fs::path> files = files_of(a.inputs, "PNG, JPEG or BMP images", io::is_image_name);
  check_outputs(files, a.overwrite, [&](const fs::path& file) { return outputs_of(a, file, classes).all(); });
  io::ensure_directory(a.out);
  for (int64_t k = 0; k < classes && classes > 1; ++k) io::ensure_directory(fs::path(a.out) / std::to_string(k));

  const uint64_t memory = machine_memory();
  StatusLine status;
  for_each_file(session, status, files, "images", a.out, [&](const fs::path& file, size_t i) {
    status.show(text(i, " of ", files.size(), "  ", file.string()),
                static_cast<double>(i) / static_cast<double>(files.size()));
    predict_one(predictor, read, file, a, memory);
  });
}

// Leaves nothing behind but the tensors.
ModelFile load_lean(const PredictArguments& a) {
  Context context({.lean = true});
  const Context::Scope scope(context);
  return load_model(a.model, a.recipe);
}

// What each rank of models knows; anything else that is given is a mistake, not to be passed over.
void predict(PredictArguments& a, Verb verb) {
  const ProcessMemory before = process_memory();
  a.program_bytes = before.anonymous + before.mapped;
  ModelFile file = load_lean(a);
  const bool volumes = file.config.rank == 3;
  if (volumes)
    verb.refuse({"--overlay", "--native-size", "--threshold", "--white"}, "is for 2D models, this one is 3D");
  else
    verb.refuse({"--tta", "--overlap", "--patch", "--blending", "--keep-largest", "--min-volume", "--max-memory",
                 "--dry-run", "--preview", "--statistics"},
                "is for 3D models, this one is 2D");
  for (const fs::path input : a.inputs) {
    const bool other = volumes ? io::is_image_name(input) : io::is_nifti_name(input);
    std::error_code unknown;  // reading it will tell why
    check(!other || fs::is_directory(input, unknown), ErrorKind::data, "[", input.string(),
          volumes ? "] expected a volume (.nii, .nii.gz) for a 3D model, got a picture"
                  : "] expected a picture (PNG, JPEG, BMP) for a 2D model, got a volume");
  }
  volumes ? predict_volumes(a, std::move(file)) : predict_images(a, std::move(file));
}

}  // namespace

void add_predict(CommandLine& program) {
  const Verb verb = program.add_verb("predict", "Write the masks of images, or the labels of volumes");
  auto a = std::make_shared<PredictArguments>();
  verb.add("-m,--model", a->model, "Model file (safetensors)").required();
  verb.add("-i,--input", a->inputs, "Images (PNG, JPEG, BMP), volumes (NIfTI) and folders of them").required();
  verb.add("-o,--out", a->out,
           "Folder. 2D: STEM.png, 0 and 255 (K/STEM.png for several classes); 3D: STEM.nii.gz, labels.json")
      .required();
  verb.add_flag("--probabilities", a->probabilities,
                "Also 2D: STEM_probability.npy, f32 [K, H, W]; 3D: STEM_probability_K.nii.gz");
  verb.add_flag("--overwrite", a->overwrite, "Replace files that exist");
  verb.add("--recipe", a->recipe, "For a model file that has none").one_of(recipe_names());
  add_machine(verb, a->machine);
  add_precision(verb, a->machine);
  add_small(verb, a->machine);

  verb.add_flag("--overlay", a->overlay, "Also STEM_overlay.png: the mask over the image").group("2D models");
  verb.add_flag("--native-size", a->native_size, "Run the network at the image's own size, padded to multiples of 32")
      .group("2D models");
  verb.add("--threshold", a->threshold, "Foreground above this probability; default: the model's")
      .range(0.0, 1.0)
      .group("2D models");
  verb.add("--white", a->white, "The sample of a file that is white; default: the model's; 0: its largest")
      .range(0, 65535)
      .group("2D models");

  const char* const solid = "3D models";
  verb.add("--patch", a->patch, "Sides of a window, D H W, multiples of 32; default: the model's")
      .values(3, 3)
      .range(32, 4096)
      .group(solid);
  verb.add("--overlap", a->overlap, "Of neighbouring windows, share of the patch; default: the model's")
      .range(0.0, 0.95)
      .group(solid);
  verb.add("--blending", a->blending, "Weights of a window's voxels: gaussian (sigma = patch/8) or constant")
      .one_of({"gaussian", "constant"})
      .group(solid);
  verb.add_flag("--tta", a->mirror, "Average over the 8 mirrored windows; takes 8 times as long").group(solid);
  verb.add_flag("--keep-largest", a->keep_largest, "Keep the largest component of every label (26 neighbours)")
      .group(solid);
  verb.add("--min-volume", a->min_volume, "Remove components smaller than this, ml (26 neighbours)")
      .range(0.0, 1e9)
      .group(solid);
  verb.add_flag("--statistics", a->statistics, "Also STEM.json: volume, box, centroid of every label").group(solid);
  verb.add_flag("--preview", a->preview, "Also STEM.png: slices with the labels' contours").group(solid);
  verb.add("--max-memory", a->max_memory,
           "Refuse, before anything starts, what would need more: 2G, 800M, bytes; default: the machine's")
      .bytes()
      .range(uint64_t{1}, uint64_t{1} << 60)
      .group(solid);
  verb.add_flag("--dry-run", a->dry_run, "Print windows, memory and an estimate of the time; write nothing")
      .group(solid);
  verb.action([a, verb] { predict(*a, verb); });
}

}  // namespace lgms::tools
