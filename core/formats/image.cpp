#include "core/formats/image.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <memory>

#include "core/formats/image_check.h"
#include "core/io/bytes.h"
#include "core/io/files.h"

namespace lgms::io {
namespace {

// stb_image grows its buffers as compressed data asks for. A block above this fails, and so does the image.
thread_local size_t largest_block = 0;
// A block of a size that is allowed was not to be had: to stb_image, both are the same.
thread_local bool out_of_memory = false;

void* noted(void* block) {
  out_of_memory = out_of_memory || block == nullptr;
  return block;
}

// Zeroed: damaged files make stb_image read tables and pixels that were never set.
void* allocate(size_t bytes) { return bytes <= largest_block ? noted(std::calloc(bytes, 1)) : nullptr; }
void* reallocate(void* block, size_t bytes) {
  return bytes <= largest_block ? noted(std::realloc(block, bytes)) : nullptr;
}

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
namespace {

constexpr uint64_t kMostBytes = (uint64_t{1} << 31) - 1;  // stb_image counts in int

struct Decoded {
  std::unique_ptr<void, void (*)(void*)> samples;  // uint16_t where the header's depth is 16, else uint8_t
  int channels;
};

// channels: 0 leaves them as they are. A file that passed check_image, but for its palette.
Decoded decoded(std::span<const uint8_t> bytes, const ImageHeader& header, const std::string& name, int channels) {
  // 16-bit RGBA takes 8 bytes a pixel, its filter bytes at most 1; coefficients of a progressive JPEG, whose blocks
  // are padded to 64 x 64 pixels at most, 2.
  largest_block = (size_t{1} << 16) + 9 * static_cast<size_t>((header.height + 64) * (header.width + 64));
  out_of_memory = false;
  const int size = static_cast<int>(bytes.size());
  int width = 0, height = 0, found = 0;
  Decoded result{{nullptr, stbi_image_free}, channels};
  if (header.depth == 16)
    result.samples.reset(stbi_load_16_from_memory(bytes.data(), size, &width, &height, &found, channels));
  else
    result.samples.reset(stbi_load_from_memory(bytes.data(), size, &width, &height, &found, channels));
  const bool read = result.samples != nullptr;
  check(read || !out_of_memory, ErrorKind::device, '[', name, "] no memory to decode ", header.height, " x ",
        header.width, " pixels; scale the image down, or free memory");
  if (!read) {
    const std::string reason = stbi_failure_reason();
    fail(ErrorKind::data, '[', name,
         "] cannot be decoded: ", reason == "outofmem" ? "more data than its size takes" : reason,
         "; the file is damaged or of a kind that is not read: convert it to PNG");
  }
  check(height == header.height && width == header.width, ErrorKind::data, '[', name, "] size: expected ",
        header.height, " x ", header.width, ", got ", height, " x ", width, "; the file is damaged");
  if (channels == 0) result.channels = found;
  return result;
}

template <class T>
Picture picture_of(std::span<const T> samples, const Shape& shape, int white) {
  constexpr int full = std::numeric_limits<T>::max();
  Picture picture{{}, 8 * sizeof(T), samples.empty() ? 0 : *std::max_element(samples.begin(), samples.end())};
  if constexpr (sizeof(T) == 1)
    if (white == 0) {
      picture.pixels = Tensor::empty(Device::cpu, shape, DType::u8);
      std::copy(samples.begin(), samples.end(), picture.pixels.data<uint8_t>());
      return picture;
    }
  if (white == 0) white = full;
  picture.pixels = Tensor::empty(Device::cpu, shape);
  std::transform(samples.begin(), samples.end(), picture.pixels.data<float>(), [white](T sample) {
    return static_cast<float>(std::min<int>(sample, white) * 255) / static_cast<float>(white);
  });
  return picture;
}

template <class T>
void store(std::span<const T> samples, int divisor, std::vector<uint16_t>& into) {
  into.resize(samples.size());
  std::transform(samples.begin(), samples.end(), into.begin(),
                 [divisor](T sample) { return static_cast<uint16_t>(sample / divisor); });
}

}  // namespace

bool is_mask_name(const std::filesystem::path& path) {
  const std::string ending = lower_extension(path);
  return ending == ".png" || ending == ".bmp";
}

bool is_image_name(const std::filesystem::path& path) {
  const std::string ending = lower_extension(path);
  return is_mask_name(path) || ending == ".jpg" || ending == ".jpeg";
}

Picture decode_picture(std::span<const uint8_t> bytes, const std::string& name, int channels, int white) {
  check(channels == 1 || channels == 3, ErrorKind::usage, "[image] channels: expected 1 or 3, got ", channels);
  check(white >= 0 && white <= 65535, ErrorKind::usage, "[image] white: expected 0 to 65535, got ", white);
  const ImageHeader header = check_image(bytes, name);
  Bytes completed;
  if (header.format == ImageFormat::png && header.palette) bytes = completed = with_full_palette(bytes);
  const Decoded image = decoded(bytes, header, name, channels);
  const Shape shape{header.height, header.width, channels};
  const auto count = static_cast<size_t>(shape.numel());
  if (header.depth == 16)
    return picture_of<uint16_t>({static_cast<const uint16_t*>(image.samples.get()), count}, shape, white);
  return picture_of<uint8_t>({static_cast<const uint8_t*>(image.samples.get()), count}, shape, white);
}

Tensor read_image(const std::filesystem::path& path, int channels, int white) {
  return decode_picture(read_file(path, ErrorKind::data, kMostBytes), path.string(), channels, white).pixels;
}

Tensor PictureReader::operator()(const std::filesystem::path& path) const {
  const Picture picture = decode_picture(read_file(path, ErrorKind::data, kMostBytes), path.string(), 3, white_);
  const int bits = std::bit_width(static_cast<unsigned>(picture.largest)), fits = (1 << bits) - 1;
  if (white_ == 0 && picture.depth == 16 && bits > 0 && bits < 16)
    fewer_bits_("[", path.string(), "] its samples have 16 bits and use ", bits, ", the largest is ", picture.largest,
                "; it and all 16-bit pictures of this run are read as sample / 65535: if ", fits,
                " is white, say --white ", fits);
  if (white_ > 255 && picture.depth == 8)
    shallow_("[", path.string(), "] its samples have 8 bits, and white is ", white_,
             ": it and all like it are read as nearly black");
  if (white_ > 0 && picture.largest > white_)
    clipped_("[", path.string(), "] its largest sample, ", picture.largest, ", is above white, ", white_,
             ": it and all like it are cut there");
  return picture.pixels;
}

StoredImage decode_stored(std::span<const uint8_t> bytes, const std::string& name) {
  const ImageHeader header = check_image(bytes, name);
  check(header.format != ImageFormat::jpeg, ErrorKind::data, '[', name,
        "] expected a PNG or BMP, got a JPEG, whose compression changes the values of a mask; convert the mask that it "
        "was made of, or this one with 0 and 255 as its only values, to PNG");
  StoredImage stored{header.height, header.width, 0, header.depth, {}, {}};
  Bytes indexed;
  if (header.palette) bytes = indexed = with_index_palette(bytes, header.format, stored.palette);
  const Decoded image = decoded(bytes, header, name, header.palette ? 1 : 0);
  stored.channels = image.channels;
  const auto count = static_cast<size_t>(header.height * header.width * image.channels);
  // The decoder spreads grey of fewer than 8 bits over 0..255.
  const int divisor = header.palette || header.depth >= 8 ? 1 : 255 / ((1 << header.depth) - 1);
  if (header.depth == 16)
    store<uint16_t>({static_cast<const uint16_t*>(image.samples.get()), count}, 1, stored.samples);
  else
    store<uint8_t>({static_cast<const uint8_t*>(image.samples.get()), count}, divisor, stored.samples);
  return stored;
}

StoredImage read_stored(const std::filesystem::path& path) {
  return decode_stored(read_file(path, ErrorKind::data, kMostBytes), path.string());
}

}  // namespace lgms::io
