#pragma once
// Labelled volumes on disk: which files belong together, and labels with checks.
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/formats/nifti.h"

namespace lgms::nn {

struct VolumeCase {
  std::string stem;  // of the image's name; where several have that, of its path: case_00000_imaging
  std::filesystem::path image, label;
};

struct VolumeList {
  std::vector<VolumeCase> cases;
  std::vector<std::string> classes;  // names of the labels 0, 1, ... where a JSON file has them; else empty
  std::vector<std::string> stems() const;
};

// The cases of a list, which is relative to the folder `data` unless absolute.
// - NAME.json: a datalist of the Decathlon or MONAI; section is "training" or "validation"; paths are relative to it.
// - anything else: a line per case. Either a stem, of nnU-Net's folders: data/imagesTr/STEM.nii.gz (or _0000.nii.gz, or
//   .nii) with data/labelsTr/STEM.nii.gz; or two paths, image and label, with a comma or a tab between them, relative
//   to data, each in quotes if need be, as in CSV. A stem may hold anything that a file name may: a line is two paths
//   only where it is no stem, and where it can be cut in one way into two files that are there.
// Names of classes come from the datalist, or from data/dataset.json. Throws Error{data} naming the list or the first
// file that is not there; a second channel (STEM_0001) is refused, and so are two files of one stem (a.nii, a.NII.GZ).
VolumeList read_volume_list(const std::filesystem::path& data, const std::filesystem::path& list,
                            std::string_view section);

// The labels of a volume as u8 [D, H, W, 1]. Values within 1e-3 of an integer are rounded, with a note to the context's
// log. Throws Error{data} naming path and voxel where one is not an integer in [0, classes), or not within 0 .. 255
// where classes is 0.
Tensor labels_of(const io::Volume& volume, const std::filesystem::path& path, int64_t classes = 0);

// Throws Error{data} naming both files where sizes differ, or any voxel lies more than a hundredth of the smallest
// spacing away from its counterpart.
void check_same_grid(const io::NiftiHeader& image, const std::filesystem::path& image_path,
                     const io::NiftiHeader& label, const std::filesystem::path& label_path);

}  // namespace lgms::nn
