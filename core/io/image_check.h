#pragma once
// What a decoder takes on trust, checked first.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lgms::io {

struct ImageSize {
  int64_t height, width;
};

// Walks through the structure of a PNG, JPEG or BMP to its end and returns its size. Throws Error{data} where the file
// is cut short or damaged, above kMaxPixels, or claims more pixels than its bytes could hold.
ImageSize check_image(std::span<const uint8_t> bytes, const std::string& name);

// A PNG that passed check_image, with black added to its palette up to 256 colours: the decoder takes the colour of an
// index outside of the palette from uninitialised memory. Empty where there is nothing to add. Checksums are not
// renewed.
std::vector<uint8_t> with_full_palette(std::span<const uint8_t> png);

}  // namespace lgms::io
