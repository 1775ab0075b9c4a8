#include "core/formats/image.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "core/io/bytes.h"
#include "core/io/output_file.h"
#include "support/folder.h"
#include "support/hostile.h"
#include "support/png.h"
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
    decode_picture(bytes, "file", 3);
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

// A PNG whose checksums are right and whose contents may be anything.
Bytes png_with(const Bytes& header, const Bytes& compressed) {
  Bytes png = png_signature();
  append_chunk(png, "IHDR", header);
  append_chunk(png, "IDAT", compressed);
  append_chunk(png, "IEND", {});
  return png;
}

}  // namespace

TEST_CASE("image: PNG, BMP and JPEG of every kind give the same pixels") {
  for (const char* name : {"rgb.png", "rgba.png", "interlaced.png", "rgb.bmp"}) {
    CAPTURE(name);
    CHECK(error_against_pattern(read_image(formats + name, 3), false) == 0);
    CHECK(error_against_pattern(read_image(formats + name, 1), false) == 0);
  }
  for (const char* name : {"grey.png", "grey.bmp"}) {
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
    CHECK(accepted(truncations(bytes), [](std::span<const uint8_t> b) { decode_picture(b, "file", 3); }) == 0);
  }
}

TEST_CASE("image: no flipped bit of a PNG is accepted; damaged JPEG and BMP files are read or refused, never worse") {
  const auto read = [](std::span<const uint8_t> b) { decode_picture(b, "file", 3); };
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
    const Bytes header = png_header(width, height, depth, colour), data = deflated(Bytes(400, 1));
    for (const Bytes& damaged : overwritten(header, 1500, 1)) refusal(png_with(damaged, data));
    for (const Bytes& damaged : overwritten(data, 1500, 2)) refusal(png_with(header, damaged));
  }
}

TEST_CASE("image: impossible and huge sizes are refused before anything is allocated") {
  const Bytes data = deflated(Bytes(100));
  check_refused(png_with(png_header(1 << 14, (1 << 13) + 1), data), "expected 1 to 134217728 pixels");
  check_refused(png_with(png_header(0xffffffff, 0xffffffff), data), "expected 1 to 134217728 pixels");
  check_refused(png_with(png_header(0, 5), data), "expected 1 to 134217728 pixels");
  check_refused(png_with(png_header(1 << 13, 1 << 13), data), "cannot hold them");  // 64 MB of pixels in 100 bytes
  check_refused(png_with(png_header(7, 5, 7), data), "no such type of pixel");
  check_refused(png_with(png_header(7, 5, 16, 3), data), "no such type of pixel");

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
  check_refused(png_with(png_header(16, 16), bomb), "cannot be decoded");
}

TEST_CASE("image: indices outside of the palette are black in a PNG and refused in a BMP") {
  Bytes png = png_signature();
  append_chunk(png, "IHDR", png_header(4, 1, 8, 3));
  append_chunk(png, "PLTE", {10, 20, 30, 40, 50, 60});
  append_chunk(png, "IDAT", deflated({0, 0, 1, 2, 255}));
  append_chunk(png, "IEND", {});
  const Tensor image = decode_picture(png, "file", 3).pixels;
  const uint8_t want[] = {10, 20, 30, 40, 50, 60, 0, 0, 0, 0, 0, 0};
  CHECK(std::memcmp(image.data<uint8_t>(), want, 12) == 0);

  Bytes bmp = read_file(formats + "grey.bmp");
  const uint8_t ten = 10;
  bmp[10] = static_cast<uint8_t>(54 + 4 * ten);  // the pixels begin behind ten colours
  bmp[11] = 0;
  check_refused(bmp, "expected indices below its 10 colours");
}

TEST_CASE("image: headers and chunks out of order are refused") {
  const Bytes data = deflated(Bytes(40)), signature = png_signature();
  CHECK(refusal(png_with(png_header(7, 5), data)) == "accepted");
  Bytes late = signature;
  append_chunk(late, "IDAT", data);
  append_chunk(late, "IHDR", png_header(7, 5));
  check_refused(late, "expected one header of 13 bytes, first");
  Bytes twice = signature;
  append_chunk(twice, "IHDR", png_header(7, 5));
  append_chunk(twice, "IHDR", png_header(7, 5));
  check_refused(twice, "expected one header of 13 bytes, first");
  check_refused(png_with(png_header(7, 6), data), "");
  Bytes endless = png_with(png_header(7, 5), data);
  endless.erase(endless.end() - 12, endless.end());
  check_refused(endless, "cut short");
}

TEST_CASE("image: samples of 16 bits keep all of them; those that 8 bits could hold are the 8-bit picture") {
  const Tensor grey = read_image(formats + "grey16.png", 3);
  REQUIRE(grey.dtype() == DType::f32);
  for (int64_t i = 0; i < 35; ++i)
    CHECK(grey.data<float>()[3 * i] == static_cast<float>((256 * red(i / 7, i % 7) + 77) / 257.0));
  const std::vector<uint16_t> samples{0, 1, 77, 128, 254, 255};
  std::vector<uint16_t> deep(samples);
  for (uint16_t& v : deep) v = static_cast<uint16_t>(v * 257);
  for (const PngColour colour : {kGrey, kRgb}) {
    const uint32_t width = colour == kGrey ? 3 : 1;
    const Picture flat = decode_picture(png_of({2, width, samples, 8, colour, {}, {}}), "file", 3),
                  full = decode_picture(png_of({2, width, deep, 16, colour, {}, {}}), "file", 3);
    CHECK(flat.pixels.dtype() == DType::u8);
    CHECK(flat.depth == 8);
    CHECK(flat.largest == 255);
    CHECK(full.pixels.dtype() == DType::f32);
    CHECK(full.depth == 16);
    CHECK(full.largest == 65535);
    CHECK(max_difference(full.pixels, flat.pixels) == 0);
  }
  // Alpha is dropped at 16 bits too.
  const Picture alpha = decode_picture(png_of({1, 1, {65535, 32896, 0, 9}, 16, kRgba, {}, {}}), "file", 3);
  CHECK(alpha.pixels.data<float>()[1] == 128);
}

TEST_CASE("image: a white that is given is 255 whatever the depth, what is above it is cut") {
  const auto read = [](const Bytes& png, int white) { return decode_picture(png, "file", 1, white).pixels; };
  const Tensor deep = read(png_of({1, 4, {0, 1000, 4095, 65535}, 16, kGrey, {}, {}}), 4095);
  const float want[] = {0, 1000 * 255.0f / 4095, 255, 255};
  for (int i = 0; i < 4; ++i) CHECK(deep.data<float>()[i] == want[i]);
  const Bytes png = png_of({1, 3, {0, 50, 200}, 8, kGrey, {}, {}});
  const Tensor flat = read(png, 100);
  CHECK(flat.dtype() == DType::f32);
  CHECK(flat.data<float>()[1] == 127.5f);
  CHECK(flat.data<float>()[2] == 255);
  CHECK(max_difference(read(png, 255), read(png, 0)) == 0);
  CHECK(error_of([&] { read(png, 65536); }).find("white: expected 0 to 65535") != std::string::npos);
}

TEST_CASE("image: a run notes once that its pictures use fewer bits than they have, or another white than is given") {
  const Folder folder;
  for (const char* name : {"a.png", "b.png"}) write_file(folder / name, png_of({1, 2, {3, 4000}, 16, kGrey, {}, {}}));
  write_file(folder / "bright.png", png_of({1, 2, {3, 40000}, 16, kGrey, {}, {}}));
  write_file(folder / "flat.png", png_of({1, 2, {3, 40}, 8, kGrey, {}, {}}));
  std::vector<std::string> notes;
  ContextOptions options;
  options.log = [&](std::string_view line) { notes.emplace_back(line); };
  Context context(options);
  const Context::Scope scope(context);
  const auto notes_of = [&](int white, const std::vector<std::string>& names) {
    notes.clear();
    const PictureReader read(white);
    for (const std::string& name : names) {
      const PictureReader copy = read;
      copy(folder / name);
    }
    return notes.size();
  };
  CHECK(notes_of(0, {"bright.png", "flat.png"}) == 0);
  CHECK(notes_of(0, {"bright.png", "a.png", "b.png"}) == 1);
  CHECK(notes[0].find("a.png] its samples have 16 bits and use 12, the largest is 4000") != std::string::npos);
  CHECK(notes[0].find("--white 4095") != std::string::npos);
  CHECK(notes_of(4095, {"a.png", "b.png"}) == 0);
  CHECK(notes_of(4095, {"flat.png", "bright.png", "flat.png"}) == 2);
  CHECK(notes[0].find("flat.png] its samples have 8 bits, and white is 4095") != std::string::npos);
  CHECK(notes[1].find("bright.png] its largest sample, 40000, is above white, 4095") != std::string::npos);
}

TEST_CASE("image: what is stored is read as it is stored, in grey of every depth") {
  for (const uint8_t depth : {1, 2, 4, 8, 16}) {
    CAPTURE(int{depth});
    const auto full = static_cast<uint16_t>((1 << depth) - 1);
    const std::vector<uint16_t> samples{0, 1, full, 0, static_cast<uint16_t>(full / 2), full};
    const StoredImage image = decode_stored(png_of({2, 3, samples, depth, kGrey, {}, {}}), "file");
    CHECK(image.height == 2);
    CHECK(image.width == 3);
    CHECK(image.channels == 1);
    CHECK(image.depth == depth);
    CHECK(image.samples == samples);
    CHECK(image.palette.empty());
    // A colour that is transparent makes an alpha of the same depth.
    const StoredImage keyed = decode_stored(png_of({1, 2, {0, 1}, depth, kGrey, {}, {0, 0}}), "file");
    CHECK(keyed.channels == 2);
    CHECK(keyed.samples == std::vector<uint16_t>{0, 0, 1, full});
  }
  const StoredImage deep = decode_stored(png_of({1, 1, {1, 300, 65535, 256}, 16, kRgba, {}, {}}), "file");
  CHECK(deep.channels == 4);
  CHECK(deep.samples == std::vector<uint16_t>{1, 300, 65535, 256});
  CHECK(read_stored(formats + "rgb.bmp").channels == 3);
  const StoredImage one_bit = read_stored(formats + "one_bit.png");
  CHECK(one_bit.depth == 1);
  CHECK(one_bit.samples[1] == 1);
}

TEST_CASE("image: what is stored in a palette image are its indices, in PNG and BMP") {
  const Bytes colours{255, 255, 255, 10, 20, 30};
  for (const uint8_t depth : {1, 2, 4, 8}) {
    CAPTURE(int{depth});
    const ImageFile file{2, 3, {0, 1, 1, 0, 0, 1}, depth, kIndexed, colours, {7}};
    const StoredImage png = decode_stored(png_of(file), "file");
    CHECK(png.samples == file.samples);
    CHECK(png.depth == depth);
    REQUIRE(png.palette.size() == 2);
    CHECK(png.palette[0] == std::array<uint8_t, 4>{255, 255, 255, 7});
    CHECK(png.palette[1] == std::array<uint8_t, 4>{10, 20, 30, 255});
    if (depth == 2) continue;
    const StoredImage bmp = decode_stored(bmp_of(file), "file");
    CHECK(bmp.samples == file.samples);
    CHECK(bmp.depth == depth);
    CHECK(bmp.palette[1] == std::array<uint8_t, 4>{10, 20, 30, 255});
  }
  // Indices outside of the palette are numbers like all others.
  CHECK(decode_stored(png_of({1, 2, {1, 200}, 8, kIndexed, colours, {}}), "file").samples[1] == 200);
  CHECK(error_of([&] {
          decode_stored(png_of({1, 1, {0}, 8, kIndexed, {}, {}}), "file");
        }).find("cannot be decoded") != std::string::npos);
  CHECK(error_of([&] { read_stored(formats + "baseline.jpg"); }).find("got a JPEG") != std::string::npos);
}

TEST_CASE("image: damaged files read as numbers are read or refused, never worse") {
  const auto read = [](std::span<const uint8_t> b) { decode_stored(b, "file"); };
  for (const char* name : {"palette.png", "one_bit.png", "grey16.png", "rgba.png"})
    CHECK(accepted(bit_flips(read_file(formats + name)), read) == 0);
  for (const char* name : {"grey.bmp", "rgb.bmp"}) {
    const Bytes bytes = read_file(formats + name);
    CHECK(accepted(truncations(bytes), read) == 0);
    accepted(bit_flips(bytes), read);
    accepted(overwritten(bytes, 3000, 1), read);
  }
}

#if defined(__has_feature)
#define LGMS_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LGMS_SANITIZED 1
#else
#define LGMS_SANITIZED 0
#endif
#if !LGMS_SANITIZED  // they reserve address space of their own
TEST_CASE("image: where there is no memory for the pixels the file is not blamed") {
  const Bytes png = png_with(png_header(6000, 6000, 8, kRgb), deflated(Bytes(6000 * 18001)));
  const pid_t child = fork();
  if (child == 0) {
    rlimit limit{};
    getrlimit(RLIMIT_AS, &limit);
    std::ifstream statm("/proc/self/statm");
    rlim_t pages = 0;
    statm >> pages;
    limit.rlim_cur = pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (64 << 20);
    setrlimit(RLIMIT_AS, &limit);
    try {
      decode_picture(png, "file", 3);
    } catch (const Error& e) {
      _exit(std::string(e.what()).starts_with("[file] no memory to decode") ? exit_code(e.kind()) : 99);
    }
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == exit_code(ErrorKind::device));
  CHECK(decode_picture(png, "file", 3).pixels.shape() == Shape{6000, 6000, 3});
}
#endif

TEST_CASE("image: names of images and of masks are told by their ending") {
  for (const char* name : {"a.png", "a.PNG", "b.c.Jpg", "x/a.JPEG", "a.bmp"}) CHECK(is_image_name(name));
  for (const char* name : {"a", "png", ".png", "a.png.txt", "a.tif", "a.gif"}) CHECK(!is_image_name(name));
  for (const char* name : {"a.png", "a.BMP"}) CHECK(is_mask_name(name));
  for (const char* name : {"a.jpg", "a.jpeg", "a"}) CHECK(!is_mask_name(name));
}
