#include "nn/data/dataset.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/io/files.h"
#include "nn/data/mask.h"

namespace lgms::nn {

namespace fs = std::filesystem;

// What folders hold, by stem. A folder is listed once, and again where a stem is missing: it may have come since.
class ImageFolder::Names {
 public:
  // The names in at's folder that are at's and an extension, sorted.
  std::vector<std::string> of(const fs::path& at) {
    const std::lock_guard lock(mutex_);
    const std::string folder = at.parent_path().string(), stem = at.filename().string();
    if (const std::vector<std::string>* known = find(folder, stem)) return *known;
    list(folder);
    const std::vector<std::string>* found = find(folder, stem);
    return found ? *found : std::vector<std::string>{};
  }

 private:
  using Folder = std::unordered_map<std::string, std::vector<std::string>>;

  const std::vector<std::string>* find(const std::string& folder, const std::string& stem) const {
    const auto names = folders_.find(folder);
    if (names == folders_.end()) return nullptr;
    const auto found = names->second.find(stem);
    return found == names->second.end() ? nullptr : &found->second;
  }
  void list(const std::string& folder) {
    Folder& names = folders_[folder];
    names.clear();
    if (!io::is_folder(folder)) return;
    for (const fs::path& path : io::files_in(folder, [](const fs::path&) { return true; }))
      names[path.stem().string()].push_back(path.filename().string());
  }

  std::mutex mutex_;
  std::unordered_map<std::string, Folder> folders_;
};

namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

bool empty(const Tensor& mask) {
  const auto values = mask.span<uint8_t>();
  return std::none_of(values.begin(), values.end(), [](uint8_t v) { return v > 0; });
}

// The one file of `names` (those of at's stem) that `accepts`.
template <class Accepts>
fs::path only(const std::vector<std::string>& names, const fs::path& at, const char* what, const char* endings,
              const Accepts& accepts) {
  std::vector<std::string> matching;
  std::copy_if(names.begin(), names.end(), std::back_inserter(matching), accepts);
  const std::string folder = at.parent_path().string(), stem = at.filename().string();
  check(!matching.empty(), ErrorKind::data, "[", folder, "] no ", what, " of \"", stem, "\": expected ", stem, endings,
        names.empty() ? "; lists hold names without folder and extension"
                      : text(", got ", joined(names), "; convert it to PNG"));
  check(matching.size() == 1, ErrorKind::data, "[", folder, "] expected one ", what, " of \"", stem, "\", got ",
        joined(matching), "; keep one of them");
  const fs::path path = at.parent_path() / matching.front();
  check(io::is_file(path), ErrorKind::data, "[", path.string(),
        "] expected a file, got a link that leads nowhere, a device or a pipe");
  return path;
}

}  // namespace

int64_t mask_classes(const fs::path& root) {
  const fs::path masks = root / "masks";
  check(io::is_folder(root), ErrorKind::data, "[", root.string(), "] expected the folder of the data, found none");
  int64_t k = 0;
  while (io::is_folder(masks / std::to_string(k))) ++k;
  check(k > 0, ErrorKind::data, "[", root.string(), "] expected masks/0, the masks of the first class, found none",
        io::is_folder(root / "imagesTr") ? "; it holds volumes, which want a 3D model" : "");
  const auto is_number = [](const fs::path& path) {
    return path.filename().native().find_first_not_of("0123456789") == std::string::npos;
  };
  std::set<std::string> expected;
  for (int64_t i = 0; i < k; ++i) expected.insert(std::to_string(i));
  for (const fs::path& path : io::entries_in(masks, is_number))
    check(expected.contains(path.filename().string()), ErrorKind::data, "[", path.string(),
          "] expected folders 0, 1, ... of masks, one for each class; after ", k - 1, " comes ", k,
          ", which is missing, a link that leads nowhere, or named otherwise");
  return k;
}

ImageFolder::ImageFolder(fs::path root, int64_t classes, std::optional<int> mask_threshold, int white)
    : root_(std::move(root)),
      classes_(classes),
      mask_threshold_(mask_threshold),
      read_picture_(white),
      names_(std::make_shared<Names>()) {}

fs::path ImageFolder::image_path(const std::string& stem) const {
  const fs::path at = root_ / "images" / stem;
  return only(names_->of(at), at, "image", ".png, .jpg, .jpeg or .bmp", io::is_image_name);
}

fs::path ImageFolder::mask_path(const std::string& stem, int64_t k) const {
  const fs::path at = root_ / "masks" / std::to_string(k) / stem;
  return only(names_->of(at), at, "mask", ".png or .bmp (a JPEG changes the values of a mask)", io::is_mask_name);
}

void ImageFolder::require(const std::vector<std::string>& stems) const {
  for (const std::string& stem : stems) {
    image_path(stem);
    for (int64_t k = 0; k < classes_; ++k) mask_path(stem, k);
  }
}

Example ImageFolder::read(const std::string& stem) const {
  require({stem});
  const fs::path image_file = image_path(stem);
  Example example{stem, read_picture_(image_file), {}};
  const Shape& shape = example.image.shape();
  example.masks = Tensor::empty(Device::cpu, shape.with_channels(classes_), DType::u8);
  for (int64_t k = 0; k < classes_; ++k) {
    const std::string name = mask_path(stem, k).string();
    const io::StoredImage stored = io::read_stored(name);
    check(stored.height == shape[0] && stored.width == shape[1], ErrorKind::data, "[", name, "] size: expected ",
          shape[0], " x ", shape[1], " (height x width) like ", image_file.string(), ", got ", stored.height, " x ",
          stored.width);
    const Tensor mask = mask_of(stored, name, mask_threshold_);
    if (mask_threshold_ && empty(mask) && !empty(mask_of(stored, name, 0)))
      empty_("[", name, "] is not empty, but nothing in it is above the mask threshold ", *mask_threshold_,
             ": it and all like it are read as background");
    example.masks.slice(k, 1).copy_from(mask);
  }
  return example;
}

bool CacheRoom::take(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes > left_) return false;
  left_ -= bytes;
  return true;
}

Dataset::Dataset(std::vector<std::string> stems, Read read, std::shared_ptr<CacheRoom> room)
    : stems_(std::move(stems)), read_(std::move(read)), cache_(stems_.size()), room_(std::move(room)) {}

Example Dataset::example(int64_t i) const {
  const auto at = static_cast<size_t>(i);
  {
    const std::lock_guard lock(mutex_);
    if (cache_[at].image.defined()) return cache_[at];
  }
  Example example = read_(stems_[at]);
  const int64_t bytes = example.image.storage_bytes() + example.masks.storage_bytes();
  const std::lock_guard lock(mutex_);
  if (!cache_[at].image.defined() && room_->take(bytes)) cache_[at] = example;
  return example;
}

}  // namespace lgms::nn
