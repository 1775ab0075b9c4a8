#include "core/formats/image_check.h"

#include <zlib.h>

#include <algorithm>

#include "core/formats/image.h"
#include "core/io/bytes.h"

namespace lgms::io {
namespace {

constexpr uint8_t kPngSignature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
constexpr size_t kColours = 256;  // the most that a palette has

void check_size(int64_t height, int64_t width, const Reader& file) {
  file.expect(height > 0 && width > 0 && height <= kMaxPixels / width, "size: expected 1 to ", kMaxPixels,
              " pixels, got ", height, " x ", width, "; scale the image down");
}

ImageHeader check_png_header(Reader header, uint32_t& bits_per_pixel) {
  const int64_t width = header.big_endian(4, "PNG width"), height = header.big_endian(4, "PNG height");
  const auto depth = header.number<uint8_t>("PNG bit depth"), colour = header.number<uint8_t>("PNG colour type");
  const bool known = colour == 0 || colour == 2 || colour == 3 || colour == 4 || colour == 6;
  const bool deep = depth == 8 || (depth == 16 && colour != 3);
  const bool shallow = (depth == 1 || depth == 2 || depth == 4) && (colour == 0 || colour == 3);
  header.expect(known && (deep || shallow), "PNG header: no such type of pixel: depth ", int{depth}, ", colour type ",
                int{colour}, "; the file is damaged");
  bits_per_pixel = depth * (colour == 2 ? 3u : colour == 4 ? 2u : colour == 6 ? 4u : 1u);
  check_size(height, width, header);
  return {ImageFormat::png, height, width, depth, colour == 3};
}

ImageHeader check_png(Reader file) {
  file.take(sizeof kPngSignature, "PNG signature");
  ImageHeader size{};
  uint32_t bits_per_pixel = 0;
  uint64_t compressed = 0;
  for (bool first = true;; first = false) {
    const uint32_t length = file.big_endian(4, "PNG chunk length");
    const size_t start = file.position();
    const auto type = file.take(4, "PNG chunk type");
    const auto data = file.take(length, "PNG chunk");
    const uint32_t stored = file.big_endian(4, "PNG chunk checksum");
    file.expect(crc32(0, type.data(), length + 4) == stored, "PNG chunk at offset ", start,
                ": its checksum is wrong; the file is damaged");
    const std::string_view name(reinterpret_cast<const char*>(type.data()), 4);
    file.expect((name == "IHDR") == first && (!first || length == 13), "PNG: expected one header of 13 bytes, first");
    if (first) size = check_png_header(Reader(data, file.name(), ErrorKind::data), bits_per_pixel);
    if (name == "IDAT") compressed += length;
    if (name == "IEND") break;
  }
  // Deflate expands at most 1032 times.
  const uint64_t needed = static_cast<uint64_t>(size.height * size.width) * bits_per_pixel / 8;
  file.expect(needed / 1032 <= compressed, "PNG: expected pixels for ", size.height, " x ", size.width, ", got ",
              compressed, " compressed bytes, which cannot hold them; the file is damaged");
  return size;
}

// The next marker; bytes in front of it are the entropy-coded data of a scan.
uint8_t next_jpeg_marker(Reader& file) {
  for (;;) {
    while (file.number<uint8_t>("JPEG marker (the end marker is missing)") != 0xff) {}
    uint8_t marker = 0xff;
    while (marker == 0xff) marker = file.number<uint8_t>("JPEG marker (the end marker is missing)");
    const bool restart = marker >= 0xd0 && marker <= 0xd7;
    if (marker != 0 && !restart) return marker;
  }
}

// Huffman tables: a class and slot, 16 counts of codes, the codes' values. The decoder has room for 256 codes.
void check_huffman_tables(Reader segment) {
  while (segment.remaining() > 0) {
    segment.number<uint8_t>("JPEG Huffman table");
    uint32_t codes = 0;
    for (const uint8_t count : segment.take(16, "JPEG Huffman table")) codes += count;
    segment.expect(codes <= 256, "JPEG Huffman table: expected at most 256 codes, got ", codes,
                   "; the file is damaged");
    segment.take(codes, "JPEG Huffman table");
  }
}

ImageHeader check_jpeg(Reader file) {
  file.take(2, "JPEG start marker");
  ImageHeader size{ImageFormat::jpeg, 0, 0};
  uint64_t scans = 0;
  for (;;) {
    const uint8_t marker = next_jpeg_marker(file);
    if (marker == 0xd9) break;
    if (marker == 0x01) continue;
    file.expect(marker != 0xd8, "JPEG: a second image starts at offset ", file.position(), "; the file is damaged");
    const uint32_t length = file.big_endian(2, "JPEG segment length");
    file.expect(length >= 2, "JPEG segment length: expected 2 or more, got ", length, "; the file is damaged");
    Reader segment(file.take(length - 2, "JPEG segment"), file.name(), ErrorKind::data);
    if (marker == 0xc4) check_huffman_tables(segment);
    const bool frame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
    if (frame) {
      const auto precision = segment.number<uint8_t>("JPEG precision");
      file.expect(size.height == 0 && marker <= 0xc2 && precision == 8,
                  "JPEG: expected one 8-bit baseline or progressive frame; convert it to PNG");
      size.height = segment.big_endian(2, "JPEG height");
      size.width = segment.big_endian(2, "JPEG width");
      check_size(size.height, size.width, file);
    }
    if (marker == 0xda) {
      file.expect(size.height > 0, "JPEG: expected a frame before the first scan; the file is damaged");
      ++scans;
    }
  }
  file.expect(scans > 0, "JPEG: expected a scan, got none; the file is damaged");
  // Every scan walks over the whole image. A block of 8 x 8 pixels takes at least a bit in the first, so ten scans of a
  // blank image come to 2000 pixels a byte.
  const uint64_t pixels = static_cast<uint64_t>(size.height * size.width);
  file.expect(pixels * scans / 4096 <= file.position(), "JPEG: expected ", scans, " scans of ", size.height, " x ",
              size.width, " pixels, got ", file.position(), " bytes, which cannot hold them; the file is damaged");
  return size;
}

// Every pixel of a row of palette indices must have a colour: the decoder does not look.
void check_indices(std::span<const uint8_t> row, int64_t width, int bits, int64_t colours, const Reader& file) {
  for (int64_t j = 0; j < width; ++j) {
    const int64_t bit = j * bits;
    const int index = row[static_cast<size_t>(bit / 8)] >> (8 - bits - bit % 8) & ((1 << bits) - 1);
    file.expect(index < colours, "BMP: expected indices below its ", colours, " colours, got ", index,
                "; the file is damaged");
  }
}

ImageHeader check_bmp(Reader file) {
  file.take(10, "BMP header");
  const auto data_offset = file.number<uint32_t>("BMP header");
  const auto header_bytes = file.number<uint32_t>("BMP header");
  file.expect(header_bytes == 40 || header_bytes == 56 || header_bytes == 108 || header_bytes == 124,
              "BMP header: expected 40, 56, 108 or 124 bytes, got ", header_bytes, "; convert it to PNG");
  const int64_t width = file.number<int32_t>("BMP width"), height = file.number<int32_t>("BMP height");
  file.number<uint16_t>("BMP planes");
  const auto bits = file.number<uint16_t>("BMP bits per pixel");
  const auto compression = file.number<uint32_t>("BMP compression");
  file.expect(compression == 0 || compression == 3, "BMP: expected uncompressed pixels, got compression ", compression,
              "; convert it to PNG");
  file.expect(bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32,
              "BMP bits per pixel: expected 1, 4, 8, 16, 24 or 32, got ", bits);
  const bool palette = bits <= 8;
  const ImageHeader size{ImageFormat::bmp, height < 0 ? -height : height,  // negative: the first row is the top one
                         width, palette ? int{bits} : 8, palette};
  check_size(size.height, size.width, file);
  file.seek(data_offset, "BMP pixels");
  const auto row_bytes = static_cast<size_t>((width * bits + 31) / 32 * 4);
  const auto pixels = file.take(row_bytes * static_cast<size_t>(size.height), "BMP pixels");
  if (!palette) return size;
  const int64_t colours = (int64_t{data_offset} - 14 - header_bytes) / 4;
  file.expect(colours >= 1 && colours <= 256, "BMP palette: expected 1 to 256 colours, got ", colours);
  for (size_t row = 0; row < pixels.size(); row += row_bytes)
    check_indices(pixels.subspan(row, row_bytes), width, bits, colours, file);
  return size;
}

bool starts_with(std::span<const uint8_t> bytes, std::span<const uint8_t> magic) {
  return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
}

// A copy of a PNG in which colours(data) stands for every palette, in full; with `opaque`, nothing is transparent.
template <class Colours>
std::vector<uint8_t> with_colours(std::span<const uint8_t> png, bool opaque, const Colours& colours) {
  constexpr uint8_t full_palette[] = {0, 0, 3, 0, 'P', 'L', 'T', 'E'};  // 768 bytes
  std::vector<uint8_t> result(png.begin(), png.begin() + sizeof kPngSignature);
  Reader file(png, "", ErrorKind::data);
  file.take(sizeof kPngSignature, "PNG signature");
  for (std::string_view name; name != "IEND";) {
    const size_t start = file.position();
    const uint32_t length = file.big_endian(4, "PNG chunk");
    const auto type = file.take(4, "PNG chunk"), data = file.take(length, "PNG chunk");
    file.take(4, "PNG chunk");
    name = {reinterpret_cast<const char*>(type.data()), 4};
    if (name == "tRNS" && opaque) continue;
    if (name == "PLTE" && length <= 3 * kColours && length % 3 == 0) {  // others are refused by the decoder
      const std::array<uint8_t, 3 * kColours> all = colours(data);
      result.insert(result.end(), std::begin(full_palette), std::end(full_palette));
      result.insert(result.end(), all.begin(), all.end());
      result.resize(result.size() + 4);
    } else {
      const auto whole = png.subspan(start, file.position() - start);
      result.insert(result.end(), whole.begin(), whole.end());
    }
  }
  return result;
}

// The palette of a PNG: PLTE, with the alphas of tRNS.
Palette png_palette(std::span<const uint8_t> png) {
  Palette palette;
  Reader file(png, "", ErrorKind::data);
  file.take(sizeof kPngSignature, "PNG signature");
  for (std::string_view name; name != "IEND";) {
    const uint32_t length = file.big_endian(4, "PNG chunk");
    const auto type = file.take(4, "PNG chunk"), data = file.take(length, "PNG chunk");
    file.take(4, "PNG chunk");
    name = {reinterpret_cast<const char*>(type.data()), 4};
    if (name == "PLTE") {
      palette.clear();
      for (size_t i = 0; i + 3 <= data.size(); i += 3) palette.push_back({data[i], data[i + 1], data[i + 2], 255});
    }
    if (name == "tRNS")
      for (size_t i = 0; i < std::min(palette.size(), data.size()); ++i) palette[i][3] = data[i];
  }
  return palette;
}

}  // namespace

ImageHeader check_image(std::span<const uint8_t> bytes, const std::string& name) {
  constexpr uint8_t jpeg[] = {0xff, 0xd8, 0xff}, bmp[] = {'B', 'M'};
  const Reader file(bytes, name, ErrorKind::data);
  if (starts_with(bytes, kPngSignature)) return check_png(file);
  if (starts_with(bytes, jpeg)) return check_jpeg(file);
  file.expect(starts_with(bytes, bmp), "expected a PNG, JPEG or BMP image, got something else; convert it to PNG");
  return check_bmp(file);
}

std::vector<uint8_t> with_full_palette(std::span<const uint8_t> png) {
  return with_colours(png, false, [](std::span<const uint8_t> data) {
    std::array<uint8_t, 3 * kColours> all{};
    std::copy(data.begin(), data.end(), all.begin());
    return all;
  });
}

std::vector<uint8_t> with_index_palette(std::span<const uint8_t> bytes, ImageFormat format, Palette& palette) {
  if (format == ImageFormat::png) {
    palette = png_palette(bytes);
    return with_colours(bytes, true, [](std::span<const uint8_t>) {
      std::array<uint8_t, 3 * kColours> ramp;
      for (size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<uint8_t>(i / 3);
      return ramp;
    });
  }
  Reader file(bytes, "", ErrorKind::data);
  file.take(10, "BMP header");
  const auto end = file.number<uint32_t>("BMP header"), header = file.number<uint32_t>("BMP header");
  std::vector<uint8_t> result(bytes.begin(), bytes.end());
  palette.clear();
  for (size_t at = 14 + size_t{header}; at + 4 <= end; at += 4) {  // blue, green, red, nothing
    palette.push_back({result[at + 2], result[at + 1], result[at], 255});
    std::fill_n(result.begin() + static_cast<ptrdiff_t>(at), 3, static_cast<uint8_t>(palette.size() - 1));
  }
  return result;
}

}  // namespace lgms::io
