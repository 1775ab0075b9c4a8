#pragma once
// What a decoder takes on trust, checked first.
#include <cstdint>
#include <span>
#include <string>

namespace lgms::io {

struct ImageSize {
  int64_t height, width;
};

// Walks through the structure of a PNG, JPEG or BMP to its end and returns its size. Throws Error{data} where the file
// is cut short or damaged, above kMaxPixels, or claims more pixels than its bytes could hold.
ImageSize check_image(std::span<const uint8_t> bytes, const std::string& name);

}  // namespace lgms::io
