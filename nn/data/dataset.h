#pragma once
// Labelled cases on disk: reading with checks, a cache so that epochs after the first read nothing.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/formats/image.h"
#include "core/tensor.h"

namespace lgms::nn {

// A case as it was read, before any resizing: image u8 or f32 [H, W, 3] (RGB, 0..255), masks u8 [H, W, K], one channel
// per class: mask_of.
struct Example {
  std::string stem;
  Tensor image, masks;
};

// How many classes a folder has: masks/0, masks/1, ... Throws Error{data} where there are none, or others than these.
int64_t mask_classes(const std::filesystem::path& root);

// A folder of images/STEM.png with masks/K/STEM.png for the classes K = 0 .. classes - 1. Images may end in .jpg, .jpeg
// or .bmp too, masks in .bmp, in upper or lower case. Copies share what they know of the folders.
class ImageFolder {
 public:
  // mask_threshold: see mask_of; white: see read_image.
  explicit ImageFolder(std::filesystem::path root, int64_t classes = 1, std::optional<int> mask_threshold = {},
                       int white = 0);

  const std::filesystem::path& root() const { return root_; }
  int64_t classes() const { return classes_; }
  // Throw Error{data} where a folder holds no such file of this stem, or several.
  std::filesystem::path image_path(const std::string& stem) const;
  std::filesystem::path mask_path(const std::string& stem, int64_t k) const;
  // Throws Error{data} naming the first file of these stems that is not there. Cheap: opens none.
  void require(const std::vector<std::string>& stems) const;
  // Throws Error{data} naming the file that is absent, unreadable, of another size than its image, or a mask of which
  // nobody can say what is foreground.
  Example read(const std::string& stem) const;

 private:
  class Names;

  std::filesystem::path root_;
  int64_t classes_;
  std::optional<int> mask_threshold_;
  io::PictureReader read_picture_;
  NoteOnce empty_;
  std::shared_ptr<Names> names_;
};

// Bytes that decoded examples may take, those of several data sets together. Thread-safe.
class CacheRoom {
 public:
  explicit CacheRoom(int64_t bytes) : left_(bytes) {}
  bool take(int64_t bytes);  // false, and nothing taken, where so many are not left

 private:
  std::mutex mutex_;
  int64_t left_;
};

// Cases by index. Decoded ones are kept as long as there is room; the rest is read each time.
class Dataset {
 public:
  using Read = std::function<Example(const std::string& stem)>;
  Dataset(std::vector<std::string> stems, Read read,
          std::shared_ptr<CacheRoom> room = std::make_shared<CacheRoom>(int64_t{2} << 30));

  int64_t size() const { return static_cast<int64_t>(stems_.size()); }
  const std::vector<std::string>& stems() const { return stems_; }
  // Thread-safe. The tensors are shared: do not write to them. Throws what read throws.
  Example example(int64_t i) const;

 private:
  std::vector<std::string> stems_;
  Read read_;
  mutable std::mutex mutex_;
  mutable std::vector<Example> cache_;
  std::shared_ptr<CacheRoom> room_;
};

}  // namespace lgms::nn
