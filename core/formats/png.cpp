#include <zlib.h>

#include "core/formats/image.h"
#include "core/io/bytes.h"
#include "core/io/output_file.h"

namespace lgms::io {
namespace {

void append_big_endian(Bytes& bytes, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<uint8_t>(value >> shift));
}

void append_chunk(Bytes& png, std::string_view type, std::span<const uint8_t> data) {
  append_big_endian(png, static_cast<uint32_t>(data.size()));
  const size_t start = png.size();
  png.insert(png.end(), type.begin(), type.end());
  png.insert(png.end(), data.begin(), data.end());
  append_big_endian(png, static_cast<uint32_t>(crc32(0, png.data() + start, static_cast<uInt>(data.size() + 4))));
}

// The rows, each behind the number of its filter, deflated. Filter "up" (the difference to the row above) suits
// masks, whose rows repeat, and costs nothing to choose.
Bytes deflated_rows(const TensorView& image, int64_t height, size_t row_bytes) {
  constexpr uint8_t up = 2;
  Bytes raw;
  raw.reserve(static_cast<size_t>(height) * (row_bytes + 1));
  const Bytes zeros(row_bytes);
  const uint8_t* above = zeros.data();
  for (int64_t i = 0; i < height; ++i) {
    const uint8_t* row = image.data<uint8_t>() + static_cast<size_t>(i) * row_bytes;
    raw.push_back(up);
    for (size_t k = 0; k < row_bytes; ++k) raw.push_back(static_cast<uint8_t>(row[k] - above[k]));
    above = row;
  }
  uLongf size = compressBound(raw.size());
  Bytes deflated(size);
  check(compress2(deflated.data(), &size, raw.data(), raw.size(), 6) == Z_OK, ErrorKind::device,
        "[png] no memory to compress ", raw.size(), " bytes");
  deflated.resize(size);
  return deflated;
}

}  // namespace

void write_png(const std::filesystem::path& path, const Tensor& image) {
  const Shape& shape = image.shape();
  check(image.dtype() == DType::u8 && shape.rank() == 3 && (shape[2] == 1 || shape[2] == 3) && image.numel() > 0 &&
            shape[0] * shape[1] <= kMaxPixels,
        ErrorKind::usage, "[write_png] image: expected u8 [H, W, 1 or 3] of 1 to ", kMaxPixels, " pixels, got ",
        image.dtype(), " ", shape);
  Bytes png{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'}, header;
  append_big_endian(header, static_cast<uint32_t>(shape[1]));
  append_big_endian(header, static_cast<uint32_t>(shape[0]));
  const uint8_t colour = shape[2] == 3 ? 2 : 0;
  header.insert(header.end(), {8, colour, 0, 0, 0});  // 8 bits; deflate, adaptive filters, not interlaced
  append_chunk(png, "IHDR", header);
  append_chunk(png, "IDAT", deflated_rows(image.dense(), shape[0], static_cast<size_t>(shape[1] * shape[2])));
  append_chunk(png, "IEND", {});
  write_file(path, png);
}

}  // namespace lgms::io
