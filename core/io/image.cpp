#include "core/io/image.h"

#include <algorithm>
#include <memory>

#include "core/io/bytes.h"
#include "core/io/image_check.h"

namespace lgms::io {
namespace {

// stb_image grows its buffers as compressed data asks for. A block above this fails, and so does the image.
thread_local size_t largest_block = 0;

// Zeroed: damaged files make stb_image read tables and pixels that were never set.
void* allocate(size_t bytes) { return bytes <= largest_block ? std::calloc(bytes, 1) : nullptr; }
void* reallocate(void* block, size_t bytes) { return bytes <= largest_block ? std::realloc(block, bytes) : nullptr; }

}  // namespace
}  // namespace lgms::io

#define STBI_MALLOC(bytes) lgms::io::allocate(bytes)
#define STBI_REALLOC(block, bytes) lgms::io::reallocate(block, bytes)
#define STBI_FREE(block) std::free(block)
#define STBI_ASSERT(condition) static_cast<void>(0)  // damaged files reach some: never end the process
#define STBI_NO_STDIO
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb_image.h>

namespace lgms::io {

Tensor decode_image(std::span<const uint8_t> bytes, const std::string& name, int channels) {
  check(channels == 1 || channels == 3, ErrorKind::usage, "[image] channels: expected 1 or 3, got ", channels);
  const ImageSize size = check_image(bytes, name);
  // 16-bit RGBA takes 8 bytes a pixel, its filter bytes at most 1; coefficients of a progressive JPEG, whose blocks
  // are padded to 64 x 64 pixels at most, 2.
  largest_block = (size_t{1} << 16) + 9 * static_cast<size_t>((size.height + 64) * (size.width + 64));
  const std::vector<uint8_t> completed = with_full_palette(bytes);
  if (!completed.empty()) bytes = completed;
  int width = 0, height = 0, found = 0;
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(bytes.data(), static_cast<int>(bytes.size()), &width, &height, &found, channels),
      stbi_image_free);
  check(pixels != nullptr, ErrorKind::data, '[', name, "] cannot be decoded: ", stbi_failure_reason(),
        "; the file is damaged or of a kind that is not read: convert it to PNG");
  check(height == size.height && width == size.width, ErrorKind::data, '[', name, "] size: expected ", size.height,
        " x ", size.width, ", got ", height, " x ", width, "; the file is damaged");
  Tensor image = Tensor::empty({height, width, channels}, DType::u8);
  std::copy_n(pixels.get(), image.numel(), image.data<uint8_t>());
  return image;
}

Tensor read_image(const std::filesystem::path& path, int channels) {
  return decode_image(read_file(path, ErrorKind::data, (uint64_t{1} << 31) - 1), path.string(), channels);
}

}  // namespace lgms::io
