#pragma once
// The options that make a run what it is: what each is called and what it may be stands here and nowhere else. Command
// lines, the config.json of a run that goes on, and the settings in its checkpoint are all held to this table.
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/json.h"
#include "lgmsnet/recipe_names.h"

namespace lgms {

// Cases on the disk, with labels.
struct TrainingData {
  // Pictures: images/STEM.png (.jpg, .bmp) and masks/K/STEM.png (.bmp) for the classes K = 0, 1, ...; volumes:
  // imagesTr/STEM.nii.gz and labelsTr/STEM.nii.gz.
  std::string folder;
  // Of the cases to learn from and of those to choose the best epoch by: nn::read_list, nn::read_volume_list.
  std::string train_list = "train.txt", val_list = "val.txt";
  std::vector<std::string> classes;  // names; none: the data's, or "class 0", "class 1", ...
};

// A training: on what, how, and into which folder. What is 0 or empty is for the recipe to say, or for the data.
struct TrainingOptions {
  TrainingData data;
  std::string out;      // folder of the run
  std::string recipe;   // of kRecipes; empty: ours for the kind of the data
  std::string network;  // Config::named, or a file NAME.json; empty: "2d" or "3d"
  std::string init;     // a model file whose weights to start from
  int64_t epochs = 0, batch = 0, accumulate = 1, validate_every = 1;  // nn::TrainerOptions
  double rate = 0;
  uint64_t seed = 0;
  bool checkpointing = false;  // LGMSNet::forward
  // Pictures
  int64_t size = 256;       // side of the network's input
  int mask_threshold = -1;  // nn::mask_of; below 0: none
  int white = 0;            // Recipe::white
  // Volumes
  int64_t crops = 0;            // patches of each volume in an epoch
  std::vector<int64_t> patch;   // D, H, W
  std::vector<double> spacing;  // mm along D, H, W

  // The rest is of the session, not of the run.
  // A run goes on with what it was started with. Those named here, by their names in for_each_option or "classes", are
  // as they stand above: that the run was started with others is an error.
  std::set<std::string, std::less<>> given;
  bool resume = false;          // a run that `out` holds goes on; else it is an error
  bool allow_drift = false;     // although the instruction set is another one
  int64_t cache_mb = 2048;      // decoded cases kept in memory, at most
  std::string version, commit;  // of the program that trains; written into config.json and models
};

// What an option may be. Numbers are finite.
struct Allowed {
  double least = std::numeric_limits<double>::lowest(), most = std::numeric_limits<double>::max();
  int64_t multiple = 1;
  size_t count = 0;                     // how many numbers a list has that is not empty
  std::vector<std::string_view> words;  // of text; none: any
};

// Whether value is allowed.
bool allows(const Allowed& allowed, bool value);
bool allows(const Allowed& allowed, int64_t value);
bool allows(const Allowed& allowed, uint64_t value);
bool allows(const Allowed& allowed, double value);
bool allows(const Allowed& allowed, const std::string& value);
bool allows(const Allowed& allowed, const std::vector<int64_t>& value);
bool allows(const Allowed& allowed, const std::vector<double>& value);
inline bool allows(const Allowed& allowed, int value) { return allows(allowed, int64_t{value}); }

// Sets value to what JSON, or the text of a setting, says; false where that is of another type, or is not allowed.
bool take(const Allowed& allowed, const io::Json& json, bool& value);
bool take(const Allowed& allowed, const io::Json& json, int& value);
bool take(const Allowed& allowed, const io::Json& json, int64_t& value);
bool take(const Allowed& allowed, const io::Json& json, uint64_t& value);
bool take(const Allowed& allowed, const io::Json& json, double& value);
bool take(const Allowed& allowed, const io::Json& json, std::string& value);
bool take(const Allowed& allowed, const io::Json& json, std::vector<int64_t>& value);
bool take(const Allowed& allowed, const io::Json& json, std::vector<double>& value);

// "1 to 4096", "three multiples of 32 from 32 to 512": for messages.
std::string description(const Allowed& allowed, const io::Json& example);

// visit(name, value, allowed, help) for every option of `a`, TrainingOptions or const ones. A value that is 0 or
// empty is one that was not given, until its default is known; one that is not allowed stands for none, null in JSON.
template <class Options, class Visit>
void for_each_option(Options&& a, const Visit& visit) {
  visit("train-list", a.data.train_list, Allowed{},
        "List of stems, relative to --data unless absolute; volumes: also lines of image,label, or a datalist (.json)");
  visit("val-list", a.data.val_list, Allowed{}, "The same, of the cases to choose the best epoch by");
  visit("recipe", a.recipe, Allowed{.words = {kRecipes[0].name, kRecipes[1].name, kRecipes[2].name, kRecipes[3].name}},
        "default-2d, paper-2d, default-3d or paper-3d; default: default-2d, or default-3d where --data has imagesTr or "
        "the list is a datalist");
  visit("network", a.network, Allowed{},
        "2d, 3d, 3d-l0, 3d-l1, 3d-l2, or a file NAME.json with rank, dims, splits, depths, ...; default: 2d or 3d");
  visit("size", a.size, Allowed{.least = 32, .most = 4096, .multiple = 32}, "Pictures: side of the network's input");
  visit("mask-threshold", a.mask_threshold, Allowed{.least = 0, .most = 65534},
        "Pictures: what of a mask file is above this value, or palette index, is foreground; default: what the file "
        "says by itself (0 and 1, 0 and 255, soft edges, ...)");
  visit("white", a.white, Allowed{.least = 0, .most = 65535},
        "Pictures: the sample of a file that is white; 0: the largest of its depth, 255 or 65535");
  visit("patch", a.patch, Allowed{.least = 32, .most = 512, .multiple = 32, .count = 3},
        "Volumes: depth, height and width of the network's input; default: from the median size of the training "
        "volumes (paper-3d: 96 96 96)");
  visit("spacing", a.spacing, Allowed{.least = 1e-3, .most = 1e3, .count = 3},
        "Volumes: mm between voxels along depth, height and width; default: each volume's own (paper-3d: 1.5 1.5 2)");
  visit("crops", a.crops, Allowed{.least = 1, .most = 10'000},
        "Volumes: patches of each volume in an epoch; default 1, paper-3d: 4");
  visit("epochs", a.epochs, Allowed{.least = 1, .most = 1'000'000}, "Default 100; paper-2d: 500, paper-3d: 5000");
  visit("batch", a.batch, Allowed{.least = 1, .most = 4096},
        "Images or patches per step; default 8 (volumes 2), paper-2d: 16, paper-3d: 4");
  visit("accumulate", a.accumulate, Allowed{.least = 1, .most = 4096},
        "Parts that a batch is cut into to save memory; their gradients are added. Equal to the whole batch but for "
        "batch norms (2D: all norms; 3D: two in each GMS block), whose statistics are a part's");
  visit("val-every", a.validate_every, Allowed{.least = 1, .most = 1'000'000},
        "Epochs from one validation to the next");
  visit("lr", a.rate, Allowed{.least = 1e-12, .most = 1e3},
        "Base learning rate; default 0.02 (SGD), volumes: 0.001 (AdamW)");
  visit("seed", a.seed, Allowed{.least = 0}, "Of weights, order and augmentation; default 0");
  visit("init", a.init, Allowed{}, "Weights to start from: a model.safetensors");
  visit("checkpointing", a.checkpointing, Allowed{},
        "Compute activations again in the backward pass: less memory, more time, the same bits");
}

// Throws Error{usage} naming the first option that is not allowed: one that is given must be, another one may also be
// what TrainingOptions{} has. A name in `given` that is none is refused too.
void check_options(const TrainingOptions& options);

// Ours for the kind of the data: volumes where the folder is nnU-Net's (it has imagesTr) or the list is a datalist.
std::string recipe_for(const TrainingData& data);

// A value in a message: JSON, cut to 80 bytes.
std::string shown(const io::Json& json);

}  // namespace lgms
