#include "nn/data/volumes.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/context.h"
#include "core/error.h"
#include "core/formats/datalist.h"
#include "core/io/files.h"
#include "nn/data/list.h"

namespace lgms::nn {
namespace {

namespace fs = std::filesystem;

// Of a path that may be none, and longer than any: never throws.
bool may_be_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

// The fields of a line with quotes (RFC 4180, a comma or a tab between them, blanks around): none where it has no
// quotes, or quotes elsewhere than around a field.
std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields;
  bool quoted = false;
  for (size_t i = 0;;) {
    i = std::min(line.find_first_not_of(' ', i), line.size());
    std::string field;
    if (i < line.size() && line[i] == '"') {
      quoted = true;
      for (++i;; ++i) {
        if (i == line.size()) return {};
        if (line[i] == '"' && line.compare(i, 2, "\"\"") != 0) break;
        if (line[i] == '"') ++i;
        field += line[i];
      }
      i = std::min(line.find_first_not_of(' ', i + 1), line.size());
      if (i < line.size() && line[i] != ',' && line[i] != '\t') return {};
    } else {
      const size_t end = std::min(line.find_first_of(",\t", i), line.size());
      field = trimmed(line.substr(i, end - i));
      if (field.find('"') != std::string::npos) return {};
      i = end;
    }
    fields.push_back(field);
    if (i == line.size()) break;
    ++i;
  }
  return quoted ? fields : std::vector<std::string>{};
}

// The cases of a list's lines.
class CaseFinder {
 public:
  CaseFinder(fs::path data, const fs::path& list) : data_(std::move(data)), list_(list.string()) {}

  // A line is a stem where it is one, exactly or without blanks around; else an image and a label.
  VolumeCase find(const ListLine& line) {
    const std::string where = text('[', list_, "] line ", line.number);
    std::vector<std::string> stems{line.text, trimmed(line.text)};
    if (const auto fields = fields_of(line.text); fields.size() == 1) stems.push_back(fields[0]);
    for (const std::string& stem : stems)
      if (const fs::path image = image_of(stem); !image.empty()) return with_label(stem, image, where);
    const std::vector<VolumeCase> pairs = pairs_of(line.text);
    if (pairs.empty()) refuse(line.text, where);
    if (pairs.size() > 1)
      fail(ErrorKind::data, where, ": expected one way to cut it into image and label, got \"", pairs[0].image.string(),
           "\" and \"", pairs[0].label.string(), "\", but also \"", pairs[1].image.string(), "\" and \"",
           pairs[1].label.string(), "\"; put each path in quotes");
    return pairs[0];
  }

 private:
  fs::path image_of(const std::string& stem) {
    fs::path image = folders_.find(data_ / "imagesTr", stem);
    return image.empty() ? folders_.find(data_ / "imagesTr", stem + "_0000") : image;
  }

  VolumeCase with_label(const std::string& stem, const fs::path& image, const std::string& where) {
    const fs::path label = folders_.find(data_ / "labelsTr", stem);
    check(!label.empty(), ErrorKind::data, where, ": no such file: ", (data_ / "labelsTr" / stem).string(),
          ".nii.gz or .nii, the labels of ", image.string());
    check(folders_.find(data_ / "imagesTr", stem + "_0001").empty(), ErrorKind::data, where,
          ": expected images of one channel, found a second one, ", (data_ / "imagesTr" / stem).string(), "_0001");
    return {stem, image, label};
  }

  // What is an image and a label that are there: the two fields of a line as CSV has them, or both sides of one of its
  // commas or tabs.
  std::vector<VolumeCase> pairs_of(const std::string& line) const {
    constexpr size_t longest = size_t{1} << 14;  // two paths of Linux, with quotes
    if (line.size() > longest) return {};
    std::set<std::pair<fs::path, fs::path>> pairs;
    const auto offer = [&](const std::string& image, const std::string& label) {
      if (may_be_file(data_ / image) && may_be_file(data_ / label)) pairs.emplace(data_ / image, data_ / label);
    };
    if (const auto fields = fields_of(line); fields.size() == 2) offer(fields[0], fields[1]);
    for (size_t cut = line.find_first_of(",\t"); cut != std::string::npos; cut = line.find_first_of(",\t", cut + 1)) {
      const std::string left = line.substr(0, cut), right = line.substr(cut + 1);
      for (const std::string& image : {left, trimmed(left)})
        for (const std::string& label : {right, trimmed(right)}) offer(image, label);
    }
    std::vector<VolumeCase> cases;
    cases.reserve(pairs.size());
    for (const auto& [image, label] : pairs) cases.push_back({io::nifti_stem(image), image, label});
    return cases;
  }

  // Says which file is missing, as far as that can be known.
  [[noreturn]] void refuse(const std::string& line, const std::string& where) const {
    std::vector<std::string> paths = fields_of(line);
    const size_t cut = line.find_first_of(",\t");
    if (paths.size() != 2 && cut != std::string::npos && line.find_first_of(",\t", cut + 1) == std::string::npos)
      paths = {trimmed(line.substr(0, cut)), trimmed(line.substr(cut + 1))};
    if (paths.size() == 2)
      for (const std::string& path : paths)
        check(io::is_file(data_ / path), ErrorKind::data, where, ": no such file: ", (data_ / path).string());
    fail(ErrorKind::data, where, ": no such file: ", (data_ / "imagesTr" / trimmed(line)).string(),
         ".nii.gz, _0000.nii.gz or .nii; lines hold stems of imagesTr, or the paths of image and label with a comma");
  }

  fs::path data_;
  std::string list_;
  io::NiftiFolders folders_;
};

VolumeCase pair_case(const fs::path& folder, const std::string& image, const std::string& label,
                     const std::string& where) {
  VolumeCase c{io::nifti_stem(image), folder / image, folder / label};
  for (const fs::path& path : {c.image, c.label})
    check(io::is_file(path), ErrorKind::data, where, ": no such file: ", path.string());
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
  if (io::lower_extension(path) == ".json") {
    const io::Datalist datalist = io::read_datalist(path, section);
    check(!datalist.pairs.empty(), ErrorKind::data, where, " expected cases in the section \"", section,
          "\", got none");
    for (const auto& [image, label] : datalist.pairs)
      volumes.cases.push_back(pair_case(path.parent_path(), image, label, where));
    volumes.classes = datalist.names;
  } else {
    CaseFinder finder(data, path);
    for (const ListLine& line : read_lines(path)) volumes.cases.push_back(finder.find(line));
    std::error_code unknown;
    if (fs::symlink_status(data / "dataset.json", unknown).type() != fs::file_type::not_found)
      volumes.classes = io::read_datalist(data / "dataset.json", "").names;
  }
  tell_apart(volumes.cases, io::lower_extension(path) == ".json" ? path.parent_path() : data);
  std::set<std::string> seen;
  for (const VolumeCase& c : volumes.cases)
    check(seen.insert(c.stem).second, ErrorKind::data, where, " expected each name once, got \"", c.stem, "\" again");
  return volumes;
}

Tensor labels_of(const io::Volume& volume, const fs::path& path, int64_t classes) {
  constexpr float close = 1e-3f;
  const Tensor labels = Tensor::empty(Device::cpu, volume.voxels.shape(), DType::u8);
  const auto values = volume.voxels.span<float>();
  const auto most = static_cast<float>(classes == 0 ? 255 : classes - 1);
  const auto place = [&](size_t i) {
    const auto at = static_cast<int64_t>(i), h = volume.header.size[1], w = volume.header.size[2];
    return text("voxel i ", at % w, ", j ", at / w % h, ", k ", at / (w * h));
  };
  size_t rounded = 0, example = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const float v = values[i], label = std::round(v);
    if (!(label >= 0 && label <= most && std::abs(v - label) <= close)) [[unlikely]]
      fail(ErrorKind::data, "[", path.string(), "] labels: expected integers from 0 to ", most, ", got ", v, " at ",
           place(i));
    if (v != label && rounded++ == 0) example = i;
    labels.data<uint8_t>()[i] = static_cast<uint8_t>(label);
  }
  if (rounded > 0)
    Context::current().log(text("[", path.string(), "] labels: ", rounded, " were rounded to integers, the first ",
                                values[example], " at ", place(example)));
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
