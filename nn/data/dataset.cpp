#include "nn/data/dataset.h"

#include <algorithm>

#include "core/error.h"
#include "core/io/image.h"

namespace lgms::nn {
namespace {

void check_mask(const Tensor& mask, const Tensor& image, int threshold, const std::filesystem::path& path,
                const std::filesystem::path& image_path) {
  check(mask.shape()[0] == image.shape()[0] && mask.shape()[1] == image.shape()[1], ErrorKind::data, "[", path.string(),
        "] size: expected ", image.shape()[0], " x ", image.shape()[1], " (height x width) like ", image_path.string(),
        ", got ", mask.shape()[0], " x ", mask.shape()[1]);
  const auto pixels = mask.span<uint8_t>();
  const int most = pixels.empty() ? 0 : *std::max_element(pixels.begin(), pixels.end());
  check(most == 0 || most > threshold, ErrorKind::data, "[", path.string(),
        "] values: expected some above the mask threshold ", threshold, " in a mask that is not empty, got at most ",
        most, "; give --mask-threshold ", most - 1, " if ", most, " means foreground here");
}

}  // namespace

std::filesystem::path ImageFolder::image_path(const std::string& stem) const {
  return root / "images" / (stem + ".png");
}
std::filesystem::path ImageFolder::mask_path(const std::string& stem, int64_t k) const {
  return root / "masks" / std::to_string(k) / (stem + ".png");
}

void ImageFolder::require(const std::vector<std::string>& stems) const {
  const auto exists = [](const std::filesystem::path& path, const std::string& stem, const char* what) {
    std::error_code ignored;
    check(std::filesystem::is_regular_file(path, ignored), ErrorKind::data, "[", path.string(), "] no such file: the ",
          what, " of \"", stem, "\"; lists hold names without folder and extension");
  };
  for (const std::string& stem : stems) {
    exists(image_path(stem), stem, "image");
    for (int64_t k = 0; k < classes; ++k) exists(mask_path(stem, k), stem, "mask");
  }
}

Example ImageFolder::read(const std::string& stem) const {
  require({stem});
  Example example{stem, io::read_image(image_path(stem), 3), {}};
  example.masks = Tensor::empty(example.image.shape().with_channels(classes), DType::u8);
  for (int64_t k = 0; k < classes; ++k) {
    const Tensor mask = io::read_image(mask_path(stem, k), 1);
    check_mask(mask, example.image, mask_threshold, mask_path(stem, k), image_path(stem));
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
