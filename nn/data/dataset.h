#pragma once
// Labelled cases on disk: reading with checks, a cache so that epochs after the first read nothing.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace lgms::nn {

// A case as it was read, before any resizing: image u8 [H, W, 3] (RGB), masks u8 [H, W, K], one channel per class.
struct Example {
  std::string stem;
  Tensor image, masks;
};

// A folder of images/STEM.png with masks/K/STEM.png for the classes K = 0 .. classes - 1.
struct ImageFolder {
  std::filesystem::path root;
  int64_t classes = 1;
  int mask_threshold = 127;  // a mask that is not empty must have a pixel above it

  std::filesystem::path image_path(const std::string& stem) const;
  std::filesystem::path mask_path(const std::string& stem, int64_t k) const;
  // Throws Error{data} naming the first file of these stems that is not there. Cheap: opens none.
  void require(const std::vector<std::string>& stems) const;
  // Throws Error{data} naming the file that is absent, unreadable, of another size than its image, or that is not empty
  // but has nothing above the threshold (a mask of 0 and 1).
  Example read(const std::string& stem) const;
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
