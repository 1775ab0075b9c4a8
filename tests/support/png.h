#pragma once
// PNG and BMP files byte by byte: of every depth and kind, and such as no writer makes.
#include <zlib.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace lgms::testing {

using ImageBytes = std::vector<uint8_t>;

inline void append_big_endian(ImageBytes& bytes, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<uint8_t>(value >> shift));
}

inline void append_chunk(ImageBytes& png, const std::string& type, const ImageBytes& data) {
  append_big_endian(png, static_cast<uint32_t>(data.size()));
  ImageBytes checked(type.begin(), type.end());
  checked.insert(checked.end(), data.begin(), data.end());
  png.insert(png.end(), checked.begin(), checked.end());
  append_big_endian(png, static_cast<uint32_t>(crc32(0, checked.data(), static_cast<uInt>(checked.size()))));
}

inline ImageBytes png_header(uint32_t width, uint32_t height, uint8_t depth = 8, uint8_t colour = 0) {
  ImageBytes header;
  append_big_endian(header, width);
  append_big_endian(header, height);
  header.insert(header.end(), {depth, colour, 0, 0, 0});
  return header;
}

inline ImageBytes png_signature() { return {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'}; }

inline ImageBytes deflated(const ImageBytes& raw) {
  uLongf size = compressBound(raw.size());
  ImageBytes bytes(size);
  compress2(bytes.data(), &size, raw.data(), raw.size(), 9);
  bytes.resize(size);
  return bytes;
}

enum PngColour : uint8_t { kGrey = 0, kRgb = 2, kIndexed = 3, kGreyAlpha = 4, kRgba = 6 };

// What a PNG or BMP is to hold: samples as they are stored, row by row.
struct ImageFile {
  uint32_t height, width;
  std::vector<uint16_t> samples;
  uint8_t depth = 8;
  PngColour colour = kGrey;
  ImageBytes palette;       // red, green, blue of every index
  ImageBytes transparency;  // the data of tRNS; none where empty
};

// `bits` of every sample one after another, each row filled up to bytes.
inline ImageBytes packed(const ImageFile& file, size_t row, size_t per_row) {
  ImageBytes bytes((per_row * file.depth + 7) / 8);
  for (size_t i = 0; i < per_row; ++i) {
    const uint16_t v = file.samples[row * per_row + i];
    const size_t bit = i * file.depth;
    if (file.depth == 16) {
      bytes[2 * i] = static_cast<uint8_t>(v >> 8);
      bytes[2 * i + 1] = static_cast<uint8_t>(v);
    } else {
      bytes[bit / 8] = static_cast<uint8_t>(bytes[bit / 8] | v << (8 - file.depth - bit % 8));
    }
  }
  return bytes;
}

inline ImageBytes png_of(const ImageFile& file) {
  constexpr std::array<size_t, 7> channels{1, 0, 3, 1, 2, 0, 4};
  ImageBytes raw, png = png_signature();
  for (size_t i = 0; i < file.height; ++i) {
    raw.push_back(0);
    const ImageBytes row = packed(file, i, file.width * channels[file.colour]);
    raw.insert(raw.end(), row.begin(), row.end());
  }
  append_chunk(png, "IHDR", png_header(file.width, file.height, file.depth, file.colour));
  if (!file.palette.empty()) append_chunk(png, "PLTE", file.palette);
  if (!file.transparency.empty()) append_chunk(png, "tRNS", file.transparency);
  append_chunk(png, "IDAT", deflated(raw));
  append_chunk(png, "IEND", {});
  return png;
}

// Indices of 1, 4 or 8 bits and a palette.
inline ImageBytes bmp_of(const ImageFile& file) {
  const auto colours = static_cast<uint32_t>(file.palette.size() / 3);
  ImageBytes bmp{'B', 'M'};
  const auto put = [&bmp](uint32_t value, int count) {
    for (int k = 0; k < count; ++k) bmp.push_back(k < 4 ? static_cast<uint8_t>(value >> 8 * k) : uint8_t{0});
  };
  put(0, 8);
  put(54 + 4 * colours, 4);
  put(40, 4);
  put(file.width, 4);
  put(file.height, 4);
  put(1, 2);
  put(file.depth, 2);
  put(0, 16);
  put(colours, 4);
  put(0, 4);
  for (size_t i = 0; i < colours; ++i) {
    for (const size_t c : {2, 1, 0}) bmp.push_back(file.palette[3 * i + c]);
    bmp.push_back(0);
  }
  for (size_t i = file.height; i-- > 0;) {
    ImageBytes row = packed(file, i, file.width);
    row.resize((row.size() + 3) / 4 * 4);
    bmp.insert(bmp.end(), row.begin(), row.end());
  }
  return bmp;
}

}  // namespace lgms::testing
