#pragma once
// What a decoder takes on trust, checked first.
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lgms::io {

enum class ImageFormat { png, jpeg, bmp };

struct ImageHeader {
  ImageFormat format;
  int64_t height, width;
  int depth = 8;         // bits of a stored sample: 1, 2, 4, 8 or 16; BMP: of a palette index, else 8
  bool palette = false;  // samples are indices
};

// Walks through the structure of a PNG, JPEG or BMP to its end and returns what its header says. Throws Error{data}
// where the file is cut short or damaged, above kMaxPixels, or claims more pixels than its bytes could hold.
ImageHeader check_image(std::span<const uint8_t> bytes, const std::string& name);

using Palette = std::vector<std::array<uint8_t, 4>>;  // RGBA

// A PNG with a palette that passed check_image, with black added up to 256 colours: the decoder takes the colour of an
// index outside of the palette from uninitialised memory. Checksums are not renewed.
std::vector<uint8_t> with_full_palette(std::span<const uint8_t> png);

// A PNG or BMP with a palette that passed check_image, made to decode to its indices: colour i is the grey i, and
// nothing is transparent. Sets `palette` to the colours that the file had.
std::vector<uint8_t> with_index_palette(std::span<const uint8_t> bytes, ImageFormat format, Palette& palette);

}  // namespace lgms::io
