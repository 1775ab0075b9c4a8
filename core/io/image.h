#pragma once
// Images: PNG, JPEG and BMP in, PNG out. Formats are told by their contents, never by the file's name.
#include <filesystem>
#include <span>
#include <string>

#include "core/tensor.h"

namespace lgms::io {

// The largest image, in pixels, that is read or written.
inline constexpr int64_t kMaxPixels = int64_t{1} << 27;

// u8 [H, W, channels], channels 1 (grey) or 3 (RGB). 16-bit samples keep their high byte, alpha is dropped, palettes
// are resolved, grey becomes R = G = B. Colour becomes grey as (77 R + 150 G + 29 B) / 256, which is v where all three
// are v (JPEG: its own luma). An orientation in EXIF data is not applied. Throws Error{data} on anything but a
// complete, intact PNG (every chunk and CRC), JPEG (8-bit, to its end marker) or BMP (uncompressed) of at most
// kMaxPixels, all of it checked before the memory for the pixels is taken. The form for memory calls the image `name`
// in its errors.
Tensor read_image(const std::filesystem::path& path, int channels);
Tensor decode_image(std::span<const uint8_t> bytes, const std::string& name, int channels);

// Writes u8 [H, W, 1] (grey) or [H, W, 3] (RGB) as a PNG that appears when it is complete (see output_file.h). Throws
// Error{usage} on another shape or type, Error{output} as OutputFile does.
void write_png(const std::filesystem::path& path, const Tensor& image);

}  // namespace lgms::io
