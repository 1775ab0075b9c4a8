#pragma once
// Images: PNG, JPEG and BMP in, PNG out. Formats are told by their contents, never by the file's name.
#include <array>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/note_once.h"
#include "core/tensor.h"

namespace lgms::io {

// The largest image, in pixels, that is read or written.
inline constexpr int64_t kMaxPixels = int64_t{1} << 27;

// Whether a file is taken for an image by its name, .png, .jpg, .jpeg or .bmp in upper or lower case; for a mask, .png
// or .bmp.
bool is_image_name(const std::filesystem::path& path);
bool is_mask_name(const std::filesystem::path& path);

// An image to look at: what matters is how bright it is. pixels: [H, W, channels] from 0, black, to 255, white; f32
// where samples are of 16 bits or a white is given, else u8.
struct Picture {
  Tensor pixels;
  int depth = 8;    // 16 where the file's samples are of 16 bits, else 8
  int largest = 0;  // of the samples, of that depth
};

// channels: 1 (grey) or 3 (RGB). Samples of fewer than 8 bits are spread over 0..255, alpha is dropped, palettes are
// resolved, grey becomes R = G = B. Colour becomes grey as (77 R + 150 G + 29 B) / 256, which is v where all three are
// v (JPEG: its own luma). An orientation in EXIF data is not applied.
//
// white: the sample that is white; 0: the largest of the file's depth, 255 or 65535. Pixels are
// min(sample, white) * 255 / white: without a white, files of 8 bits keep theirs.
//
// Throws Error{data} on anything but a complete, intact PNG (every chunk and CRC), JPEG (8-bit, to its end
// marker) or BMP (uncompressed) of at most kMaxPixels, all of it checked before the memory for the pixels is taken;
// Error{device} where there is no such memory. The form for memory calls the image `name` in its errors.
Picture decode_picture(std::span<const uint8_t> bytes, const std::string& name, int channels, int white = 0);
Tensor read_image(const std::filesystem::path& path, int channels, int white = 0);

// Reads the pictures of a run, RGB, with one white. What looks like another white than the given is noted (Context's
// log), each kind of it once. Copies share what was noted; thread-safe.
class PictureReader {
 public:
  explicit PictureReader(int white = 0) : white_(white) {}
  Tensor operator()(const std::filesystem::path& path) const;

 private:
  int white_;
  NoteOnce fewer_bits_, shallow_, clipped_;
};

// An image as numbers, before anyone takes them for brightness: what a mask file says.
struct StoredImage {
  int64_t height = 0, width = 0, channels = 0;  // 1: grey, or indices of a palette; 2: and alpha; 3: RGB; 4: and alpha
  int depth = 8;                                // bits of a sample: 1, 2, 4, 8, 16
  std::vector<uint16_t> samples;                // [H, W, channels], 0 to 2^depth - 1, as stored
  std::vector<std::array<uint8_t, 4>> palette;  // RGBA of the indices; empty where samples are no indices
};

// Throws as decode_picture does, and Error{data} on a JPEG, which does not keep numbers.
StoredImage decode_stored(std::span<const uint8_t> bytes, const std::string& name);
StoredImage read_stored(const std::filesystem::path& path);

// Writes u8 [H, W, 1] (grey) or [H, W, 3] (RGB) as a PNG that appears when it is complete (see output_file.h). Throws
// Error{usage} on another shape or type, Error{output} as OutputFile does.
void write_png(const std::filesystem::path& path, const Tensor& image);

}  // namespace lgms::io
