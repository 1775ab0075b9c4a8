#include "core/io/image.h"

#include <zlib.h>

#include <cmath>
#include <cstring>

#include "core/io/bytes.h"
#include "support/folder.h"
#include "support/hostile.h"
#include "support/testing.h"

using namespace lgms;
using namespace lgms::io;
using namespace lgms::testing;

namespace {

// 5 x 7 pixels, R = 20 i + 5 j, G = 255 - R, B = 30; grey: R. See tests/data/formats/make.py.
const std::string formats = LGMS_TEST_DATA "/formats/";

int red(int64_t i, int64_t j) { return static_cast<int>(20 * i + 5 * j); }

// The largest difference to that image over `channels`.
int error_against_pattern(const Tensor& image, bool grey) {
  REQUIRE(image.dtype() == DType::u8);
  const int64_t c = image.shape()[2];
  REQUIRE(image.shape() == Shape{5, 7, c});
  int worst = 0;
  for (int64_t i = 0; i < 5; ++i)
    for (int64_t j = 0; j < 7; ++j)
      for (int64_t k = 0; k < c; ++k) {
        const int colour[] = {red(i, j), 255 - red(i, j), 30};
        const int luma = (77 * colour[0] + 150 * colour[1] + 29 * colour[2]) >> 8;
        const int want = grey ? red(i, j) : c == 1 ? luma : colour[k];
        worst = std::max(worst, std::abs(want - image.data<uint8_t>()[(i * 7 + j) * c + k]));
      }
  return worst;
}

std::string refusal(std::span<const uint8_t> bytes) {
  try {
    decode_image(bytes, "file", 3);
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::data);
    CHECK(std::string(e.what()).starts_with("[file] "));
    return e.what();
  }
  return "accepted";
}

void check_refused(std::span<const uint8_t> bytes, const std::string& why) {
  const std::string message = refusal(bytes);
  CAPTURE(message);
  CHECK(message.find(why) != std::string::npos);
}

void append(Bytes& bytes, uint32_t big_endian) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<uint8_t>(big_endian >> shift));
}

void append_chunk(Bytes& png, const std::string& type, const Bytes& data) {
  append(png, static_cast<uint32_t>(data.size()));
  Bytes checked(type.begin(), type.end());
  checked.insert(checked.end(), data.begin(), data.end());
  png.insert(png.end(), checked.begin(), checked.end());
  append(png, static_cast<uint32_t>(crc32(0, checked.data(), static_cast<uInt>(checked.size()))));
}

Bytes header_of(uint32_t width, uint32_t height, uint8_t depth = 8, uint8_t colour = 0) {
  Bytes header;
  append(header, width);
  append(header, height);
  header.insert(header.end(), {depth, colour, 0, 0, 0});
  return header;
}

// A PNG whose checksums are right and whose contents may be anything.
Bytes png_of(const Bytes& header, const Bytes& compressed) {
  Bytes png{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  append_chunk(png, "IHDR", header);
  append_chunk(png, "IDAT", compressed);
  append_chunk(png, "IEND", {});
  return png;
}

Bytes deflated(const Bytes& raw) {
  uLongf size = compressBound(raw.size());
  Bytes bytes(size);
  compress2(bytes.data(), &size, raw.data(), raw.size(), 9);
  bytes.resize(size);
  return bytes;
}

}  // namespace

TEST_CASE("image: PNG, BMP and JPEG of every kind give the same pixels") {
  for (const char* name : {"rgb.png", "rgba.png", "interlaced.png", "rgb.bmp"}) {
    CAPTURE(name);
    CHECK(error_against_pattern(read_image(formats + name, 3), false) == 0);
    CHECK(error_against_pattern(read_image(formats + name, 1), false) == 0);
  }
  for (const char* name : {"grey.png", "grey16.png", "grey.bmp"}) {
    CAPTURE(name);
    CHECK(error_against_pattern(read_image(formats + name, 3), true) == 0);
    CHECK(error_against_pattern(read_image(formats + name, 1), true) == 0);
  }
  for (const char* name : {"baseline.jpg", "progressive.jpg"}) {
    CAPTURE(name);
    CHECK(error_against_pattern(read_image(formats + name, 3), false) <= 6);
    CHECK(error_against_pattern(read_image(formats + name, 1), false) <= 6);
  }
  CHECK(error_against_pattern(read_image(formats + "subsampled.jpg", 3), false) <= 20);
  CHECK(error_against_pattern(read_image(formats + "grey.jpg", 1), true) <= 6);
}

TEST_CASE("image: one-bit masks become 0 and 255, palettes their colours") {
  const Tensor mask = read_image(formats + "one_bit.png", 1), palette = read_image(formats + "palette.png", 3);
  for (int64_t i = 0; i < 35; ++i) {
    CHECK(int{mask.data<uint8_t>()[i]} == (i % 2 ? 255 : 0));
    const uint8_t colours[4][3] = {{0, 0, 0}, {255, 0, 0}, {0, 255, 0}, {9, 9, 9}};
    CHECK(std::memcmp(palette.data<uint8_t>() + 3 * i, colours[i % 4], 3) == 0);
  }
}

TEST_CASE("image: what write_png writes is read back, from strided rows too") {
  const Folder folder;
  for (const int channels : {1, 3})
    for (const Shape size : {Shape{1, 1}, Shape{1, 9}, Shape{13, 1}, Shape{33, 47}}) {
      const Tensor image = Tensor::empty({size[0], size[1], channels + 1}, DType::u8);
      for (int64_t i = 0; i < image.numel(); ++i) image.data<uint8_t>()[i] = static_cast<uint8_t>(i * i * 37 >> 3);
      write_png(folder / "x.png", image.slice(1, channels));
      CHECK(max_difference(read_image(folder / "x.png", channels), image.slice(1, channels)) == 0);
    }
  CHECK(error_of([&] {
          write_png(folder / "y.png", Tensor::zeros({2, 2, 2}, DType::u8));
        }).find("image") != std::string::npos);
  CHECK(error_of([&] { write_png(folder / "y.png", Tensor::zeros({2, 2, 3})); }).find("image") != std::string::npos);
  CHECK(error_of([&] { write_png(folder / "y.png", Tensor::empty({0, 2, 3}, DType::u8)); }) != "");
  CHECK(!std::filesystem::exists(folder / "y.png"));
}

TEST_CASE("image: files of other kinds, empty and missing ones are data errors") {
  const Folder folder;
  CHECK(refusal({}) == "[file] expected a PNG, JPEG or BMP image, got something else; convert it to PNG");
  check_refused(Bytes{'G', 'I', 'F', '8', '9', 'a'}, "expected a PNG, JPEG or BMP");
  CHECK(error_of([&] { read_image(folder / "none.png", 3); }).find("No such file") != std::string::npos);
  CHECK(error_of([&] { read_image(folder.path(), 3); }).find("got a folder") != std::string::npos);
  CHECK(error_of([&] { read_image(formats + "rgb.png", 2); }) == "[image] channels: expected 1 or 3, got 2");
}

TEST_CASE("image: a file cut at any byte is refused, in every format") {
  for (const auto& entry : std::filesystem::directory_iterator(formats)) {
    const std::string kind = entry.path().extension().string();
    if (kind != ".png" && kind != ".jpg" && kind != ".bmp") continue;
    CAPTURE(entry.path().string());
    const Bytes bytes = read_file(entry.path());
    CHECK(accepted(truncations(bytes), [](std::span<const uint8_t> b) { decode_image(b, "file", 3); }) == 0);
  }
}

TEST_CASE("image: no flipped bit of a PNG is accepted; damaged JPEG and BMP files are read or refused, never worse") {
  const auto read = [](std::span<const uint8_t> b) { decode_image(b, "file", 3); };
  for (const char* name : {"rgb.png", "one_bit.png"}) CHECK(accepted(bit_flips(read_file(formats + name)), read) == 0);
  for (const char* name : {"baseline.jpg", "progressive.jpg", "subsampled.jpg", "grey.jpg", "rgb.bmp", "grey.bmp"}) {
    const Bytes bytes = read_file(formats + name);
    accepted(bit_flips(bytes), read);
    accepted(overwritten(bytes, 3000, 1), read);
  }
}

TEST_CASE("image: PNG contents behind right checksums are read or refused, never worse") {
  for (const auto& [width, height, depth, colour] :
       std::vector<std::array<uint8_t, 4>>{{7, 5, 8, 2}, {7, 5, 16, 6}, {7, 5, 1, 0}, {7, 5, 4, 3}}) {
    const Bytes header = header_of(width, height, depth, colour), data = deflated(Bytes(400, 1));
    for (const Bytes& damaged : overwritten(header, 1500, 1)) refusal(png_of(damaged, data));
    for (const Bytes& damaged : overwritten(data, 1500, 2)) refusal(png_of(header, damaged));
  }
}

TEST_CASE("image: impossible and huge sizes are refused before anything is allocated") {
  const Bytes data = deflated(Bytes(100));
  check_refused(png_of(header_of(1 << 14, (1 << 13) + 1), data), "expected 1 to 134217728 pixels");
  check_refused(png_of(header_of(0xffffffff, 0xffffffff), data), "expected 1 to 134217728 pixels");
  check_refused(png_of(header_of(0, 5), data), "expected 1 to 134217728 pixels");
  check_refused(png_of(header_of(1 << 13, 1 << 13), data), "cannot hold them");  // 64 MB of pixels in 100 bytes
  check_refused(png_of(header_of(7, 5, 7), data), "no such type of pixel");
  check_refused(png_of(header_of(7, 5, 16, 3), data), "no such type of pixel");

  Bytes jpeg = read_file(formats + "baseline.jpg");
  const Bytes frame{0xff, 0xc0};
  const auto size = std::search(jpeg.begin(), jpeg.end(), frame.begin(), frame.end()) + 5;
  REQUIRE(size < jpeg.end());
  std::fill_n(size, 4, uint8_t{0xff});
  check_refused(jpeg, "expected 1 to 134217728 pixels");
  std::copy_n(Bytes{0x20, 0, 0x40, 0}.begin(), 4, size);
  check_refused(jpeg, "cannot hold them");

  Bytes bmp = read_file(formats + "rgb.bmp");
  bmp[18 + 3] = 0x7f;
  check_refused(bmp, "expected 1 to 134217728 pixels");
  bmp[18 + 3] = 0;
  bmp[18 + 1] = 1;
  check_refused(bmp, "BMP pixels: expected");
}

TEST_CASE("image: a small file that inflates to gigabytes is refused, not inflated") {
  const Bytes bomb = deflated(Bytes(size_t{1} << 28));
  CHECK(bomb.size() < 300000);
  check_refused(png_of(header_of(16, 16), bomb), "cannot be decoded");
}

TEST_CASE("image: indices outside of the palette are black in a PNG and refused in a BMP") {
  Bytes png{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  append_chunk(png, "IHDR", header_of(4, 1, 8, 3));
  append_chunk(png, "PLTE", {10, 20, 30, 40, 50, 60});
  append_chunk(png, "IDAT", deflated({0, 0, 1, 2, 255}));
  append_chunk(png, "IEND", {});
  const Tensor image = decode_image(png, "file", 3);
  const uint8_t want[] = {10, 20, 30, 40, 50, 60, 0, 0, 0, 0, 0, 0};
  CHECK(std::memcmp(image.data<uint8_t>(), want, 12) == 0);

  Bytes bmp = read_file(formats + "grey.bmp");
  const uint8_t ten = 10;
  bmp[10] = static_cast<uint8_t>(54 + 4 * ten);  // the pixels begin behind ten colours
  bmp[11] = 0;
  check_refused(bmp, "expected indices below its 10 colours");
}

TEST_CASE("image: headers and chunks out of order are refused") {
  const Bytes data = deflated(Bytes(40)), signature{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  CHECK(refusal(png_of(header_of(7, 5), data)) == "accepted");
  Bytes late = signature;
  append_chunk(late, "IDAT", data);
  append_chunk(late, "IHDR", header_of(7, 5));
  check_refused(late, "expected one header of 13 bytes, first");
  Bytes twice = signature;
  append_chunk(twice, "IHDR", header_of(7, 5));
  append_chunk(twice, "IHDR", header_of(7, 5));
  check_refused(twice, "expected one header of 13 bytes, first");
  check_refused(png_of(header_of(7, 6), data), "");
  Bytes endless = png_of(header_of(7, 5), data);
  endless.erase(endless.end() - 12, endless.end());
  check_refused(endless, "cut short");
}
