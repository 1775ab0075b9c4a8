#include "nn/data/volumes.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/error.h"
#include "core/io/datalist.h"
#include "nn/data/dataset.h"

namespace lgms::nn {
namespace {

namespace fs = std::filesystem;

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

// folder/STEM.nii.gz, or as .nii; empty where there is neither.
fs::path volume_named(const fs::path& folder, const std::string& stem) {
  for (const char* extension : {".nii.gz", ".nii"})
    if (is_file(folder / (stem + extension))) return folder / (stem + extension);
  return {};
}

VolumeCase nnunet_case(const fs::path& data, const std::string& stem, const std::string& where) {
  VolumeCase c{stem, volume_named(data / "imagesTr", stem), volume_named(data / "labelsTr", stem)};
  if (c.image.empty()) c.image = volume_named(data / "imagesTr", stem + "_0000");
  check(!c.image.empty(), ErrorKind::data, where, ": no such file: ", (data / "imagesTr" / stem).string(),
        ".nii.gz, _0000.nii.gz or .nii; lines hold stems of imagesTr, or the paths of image and label with a comma");
  check(!c.label.empty(), ErrorKind::data, where, ": no such file: ", (data / "labelsTr" / stem).string(),
        ".nii.gz or .nii, the labels of ", c.image.string());
  check(volume_named(data / "imagesTr", stem + "_0001").empty(), ErrorKind::data, where,
        ": expected images of one channel, found a second one, ", (data / "imagesTr" / stem).string(), "_0001");
  return c;
}

VolumeCase pair_case(const fs::path& folder, const std::string& image, const std::string& label,
                     const std::string& where) {
  VolumeCase c{io::nifti_stem(image), folder / image, folder / label};
  for (const fs::path& path : {c.image, c.label})
    check(is_file(path), ErrorKind::data, where, ": no such file: ", path.string());
  return c;
}

// Files that are all called the same, each in a folder of its own (KiTS: case_00000/imaging.nii.gz), are named by their
// paths: case_00000_imaging.
void tell_apart(std::vector<VolumeCase>& cases, const fs::path& folder) {
  std::map<std::string, int> count;
  for (const VolumeCase& c : cases) ++count[c.stem];
  for (VolumeCase& c : cases) {
    if (count[c.stem] == 1) continue;
    const fs::path path = c.image.lexically_normal().lexically_relative(folder.lexically_normal());
    c.stem = (path.parent_path() / c.stem).string();
    std::replace(c.stem.begin(), c.stem.end(), '/', '_');
  }
}

std::string trimmed(const std::string& text) {
  const size_t first = text.find_first_not_of(" \t"), last = text.find_last_not_of(" \t");
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

}  // namespace

std::vector<std::string> VolumeList::stems() const {
  std::vector<std::string> all;
  for (const VolumeCase& c : cases) all.push_back(c.stem);
  return all;
}

VolumeList read_volume_list(const fs::path& data, const fs::path& list, std::string_view section) {
  const fs::path path = data / list;  // an absolute list replaces the folder
  const std::string where = text("[", path.string(), "]");
  VolumeList volumes;
  if (path.extension() == ".json") {
    const io::Datalist datalist = io::read_datalist(path, section);
    check(!datalist.pairs.empty(), ErrorKind::data, where, " expected cases in the section \"", section,
          "\", got none");
    for (const auto& [image, label] : datalist.pairs)
      volumes.cases.push_back(pair_case(path.parent_path(), image, label, where));
    volumes.classes = datalist.names;
  } else {
    for (const std::string& line : read_list(path)) {
      const size_t cut = line.find_first_of(",\t");
      volumes.cases.push_back(cut == std::string::npos ? nnunet_case(data, line, where)
                                                       : pair_case(data, trimmed(line.substr(0, cut)),
                                                                   trimmed(line.substr(cut + 1)), where));
    }
    if (is_file(data / "dataset.json")) volumes.classes = io::read_datalist(data / "dataset.json", "").names;
  }
  tell_apart(volumes.cases, path.extension() == ".json" ? path.parent_path() : data);
  std::set<std::string> seen;
  for (const VolumeCase& c : volumes.cases)
    check(seen.insert(c.stem).second, ErrorKind::data, where, " expected each name once, got \"", c.stem, "\" again");
  return volumes;
}

Tensor labels_of(const io::Volume& volume, const fs::path& path, int64_t classes) {
  const Tensor labels = Tensor::empty(volume.voxels.shape(), DType::u8);
  const auto values = volume.voxels.span<float>();
  const auto most = static_cast<float>(classes == 0 ? 255 : classes - 1);
  for (size_t i = 0; i < values.size(); ++i) {
    const float v = values[i];
    if (!(v >= 0 && v <= most && v == std::floor(v))) [[unlikely]] {
      const auto at = static_cast<int64_t>(i), h = volume.header.size[1], w = volume.header.size[2];
      fail(ErrorKind::data, "[", path.string(), "] labels: expected integers from 0 to ", most, ", got ", v,
           " at voxel i ", at % w, ", j ", at / w % h, ", k ", at / (w * h));
    }
    labels.data<uint8_t>()[i] = static_cast<uint8_t>(v);
  }
  return labels;
}

void check_same_grid(const io::NiftiHeader& image, const fs::path& image_path, const io::NiftiHeader& label,
                     const fs::path& label_path) {
  const auto size = [](const Size3& s) { return text(s[2], " x ", s[1], " x ", s[0]); };
  check(image.size == label.size, ErrorKind::data, "[", label_path.string(), "] size: expected ", size(image.size),
        " voxels like ", image_path.string(), ", got ", size(label.size));
  const auto spacing = spacing_of(image.affine);
  const double allowed = *std::min_element(spacing.begin(), spacing.end()) / 100;
  for (size_t r = 0; r < 3; ++r)
    for (int corner = 0; corner < 8; ++corner) {
      double difference = image.affine[r][3] - label.affine[r][3];
      for (size_t axis = 0; axis < 3; ++axis)
        if (corner >> axis & 1)
          difference += (image.affine[r][axis] - label.affine[r][axis]) * static_cast<double>(image.size[2 - axis] - 1);
      check(std::abs(difference) <= allowed, ErrorKind::data, "[", label_path.string(),
            "] position: expected the place in space of ", image_path.string(), ", a corner lies ",
            std::abs(difference), " mm away");
    }
}

}  // namespace lgms::nn
