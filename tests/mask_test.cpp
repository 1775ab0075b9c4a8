#include "nn/data/mask.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "tests/support/png.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::nn;
using namespace lgms::testing;

namespace {

using Values = std::vector<uint16_t>;
using Mask = std::vector<int>;

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

Mask read(const ImageBytes& bytes, std::optional<int> threshold = {}) {
  const Tensor mask = mask_of(io::decode_stored(bytes, "file"), "file", threshold);
  const auto values = mask.span<uint8_t>();
  return {values.begin(), values.end()};
}
Mask read(const ImageFile& file, std::optional<int> threshold = {}) { return read(png_of(file), threshold); }

// A row of grey.
ImageFile grey(const Values& values, uint8_t depth = 8) {
  return {1, static_cast<uint32_t>(values.size()), values, depth, kGrey, {}, {}};
}

// The reason why a file is refused; "" if it is read.
std::string refusal(const ImageFile& file, std::optional<int> threshold = {}) {
  try {
    read(file, threshold);
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::data);
    CHECK(std::string(e.what()).starts_with("[file] "));
    return e.what();
  }
  return "";
}

// side x side pixels: value(how far inside the edge of a disc, in pixels; negative outside).
template <class Value>
ImageFile disc(uint32_t side, double radius, const Value& value, uint8_t depth = 8) {
  ImageFile file{side, side, {}, depth, kGrey, {}, {}};
  for (uint32_t i = 0; i < side; ++i)
    for (uint32_t j = 0; j < side; ++j)
      file.samples.push_back(static_cast<uint16_t>(value(radius - std::hypot(i - side / 2.0 + 0.2, j - side / 2.0))));
  return file;
}
// An edge of `width` pixels from 0 to `white`.
auto soft_edge(double width, double white) {
  return [=](double inside) { return std::clamp(inside / width + 0.5, 0.0, 1.0) * white; };
}

}  // namespace

TEST_CASE("mask: 0 and 1, 0 and 255, 0 and white, or one of them, are what they are at every depth") {
  for (const uint8_t depth : {1, 2, 4, 8, 16}) {
    CAPTURE(int{depth});
    const auto full = static_cast<uint16_t>((1 << depth) - 1);
    for (const uint16_t one : {uint16_t{1}, uint16_t{255}, full}) {
      if (one > full) continue;
      CAPTURE(one);
      CHECK(read(grey({0, one, 0, one, one}, depth)) == Mask{0, 255, 0, 255, 255});
      CHECK(read(grey({one, one}, depth)) == Mask{255, 255});
    }
    CHECK(read(grey({0, 0, 0}, depth)) == Mask{0, 0, 0});
  }
}

TEST_CASE("mask: 8-bit grey keeps a foreground above 127; other single values are refused with what was found") {
  CHECK(read(grey({0, 200, 0})) == Mask{0, 200, 0});
  CHECK(read(grey({128, 128})) == Mask{128, 128});
  for (const auto& [value, depth] :
       std::vector<std::pair<uint16_t, uint8_t>>{{127, 8}, {2, 8}, {200, 16}, {4095, 16}, {2, 2}, {8, 4}}) {
    const std::string error = refusal(grey({0, value, value}, depth));
    CAPTURE(error);
    CHECK(contains(error, text("got 0 (1 pixels), ", value, " (2 pixels)")));
    CHECK(contains(error, "--mask-threshold N"));
  }
}

TEST_CASE("mask: objects with a border, levels, labels and instances are refused; a threshold decides") {
  for (const Values& values : {Values{0, 1, 255}, Values{0, 128, 255}, Values{0, 85, 170, 255}, Values{1, 255},
                               Values{1, 2, 3}, Values{0, 254, 255}, Values{100, 200}}) {
    ImageFile file = grey({});
    file.height = 12;
    file.width = static_cast<uint32_t>(4 * values.size());
    for (uint32_t i = 0; i < file.height * file.width; ++i) file.samples.push_back(values[i % file.width / 4]);
    const std::string error = refusal(file);
    CAPTURE(error);
    for (const uint16_t v : values) CHECK(contains(error, text(v, " (48 pixels)")));
    CHECK(refusal(file, 100) == "");
  }
  CHECK(read(grey({0, 1, 255, 128}), 0) == Mask{0, 255, 255, 255});
  CHECK(read(grey({0, 1, 255, 128}), 127) == Mask{0, 0, 255, 255});
  CHECK(read(grey({0, 1}), 127) == Mask{0, 0});
  CHECK(read(grey({0, 300, 301, 65535}, 16), 300) == Mask{0, 0, 255, 255});
  // A label map with white among its values: 20 classes in squares, the rest background.
  ImageFile labels = grey({});
  labels.height = labels.width = 64;
  for (int i = 0; i < 64 * 64; ++i) {
    const int row = i / 64 / 8, column = i % 64 / 8, label = row * 8 + column;
    labels.samples.push_back(static_cast<uint16_t>(row % 2 == 0 ? 0 : label == 63 ? 255 : 3 * label));
  }
  const std::string error = refusal(labels);
  CHECK(contains(error, " values;"));
  CHECK(error.size() < 500);
}

TEST_CASE("mask: soft edges are kept, 8 bits as they are, others scaled") {
  for (const double width : {1.5, 3.0, 8.0}) {
    CAPTURE(width);
    const ImageFile eight = disc(64, 20, soft_edge(width, 255));
    const Mask mask = read(eight);
    CHECK(mask == Mask(eight.samples.begin(), eight.samples.end()));
    // 16 bits of 16, of 8, and 4 bits.
    const ImageFile sixteen = disc(64, 20, soft_edge(width, 65535), 16);
    const Mask scaled = read(sixteen);
    for (size_t i = 0; i < scaled.size(); ++i) CHECK(scaled[i] == std::lround(sixteen.samples[i] / 257.0));
    ImageFile wide = eight;
    wide.depth = 16;
    CHECK(read(wide) == mask);
    const ImageFile four = disc(64, 20, soft_edge(width, 15), 4);
    const Mask spread = read(four);
    for (size_t i = 0; i < spread.size(); ++i) CHECK(spread[i] == 17 * four.samples[i]);
  }
  // Halving: 2 x 2 pixels of 0 and 255 averaged, which makes three levels in between.
  ImageFile halved = grey({});
  halved.height = halved.width = 32;
  const ImageFile whole = disc(64, 20, [](double inside) { return inside > 0 ? 255 : 0; });
  for (size_t i = 0; i < 64; i += 2)
    for (size_t j = 0; j < 64; j += 2) {
      const auto at = [&](size_t row, size_t column) { return int{whole.samples[row * 64 + column]}; };
      halved.samples.push_back(
          static_cast<uint16_t>((at(i, j) + at(i, j + 1) + at(i + 1, j) + at(i + 1, j + 1) + 2) / 4));
    }
  CHECK(read(halved) == Mask(halved.samples.begin(), halved.samples.end()));
}

TEST_CASE("mask: what is not soft: flat levels, nested areas, greys everywhere, one side of the middle, no white") {
  const auto steps = [](double each) {
    return [each](double inside) { return inside < 0 ? 0 : std::min(255.0, 51 * std::floor(1 + inside / each)); };
  };
  CHECK(refusal(disc(96, 40, steps(3))) != "");  // areas of 51, 102, ... 255, each inside the other
  CHECK(refusal(disc(96, 40, steps(8))) != "");
  CHECK(refusal(disc(64, 20, soft_edge(60, 255))) != "");  // more than half of it is in between
  CHECK(refusal(disc(64, 20, soft_edge(8, 250))) != "");   // no white
  CHECK(refusal(disc(64, 20, soft_edge(8, 4095), 16)) != "");
  ImageFile dark = disc(64, 20, soft_edge(8, 255));
  for (uint16_t& v : dark.samples)
    if (v > 127) v = 255;
  CHECK(refusal(dark) != "");
  // Instances: 0, and many squares with numbers of their own.
  ImageFile instances = grey({});
  instances.height = instances.width = 128;
  for (int i = 0; i < 128 * 128; ++i) {
    const int row = i / 128, column = i % 128, number = row / 8 * 16 + column / 8;
    instances.samples.push_back(static_cast<uint16_t>(row % 8 < 5 && column % 8 < 5 ? number : 0));
  }
  CHECK(contains(refusal(instances), "256 values"));
}

TEST_CASE("mask: a palette's indices count, whatever their colours; grey palettes must not contradict") {
  const auto file = [](const Values& indices, const ImageBytes& palette, uint8_t depth = 8,
                       const ImageBytes& transparency = {}) {
    return ImageFile{1, static_cast<uint32_t>(indices.size()), indices, depth, kIndexed, palette, transparency};
  };
  const ImageBytes voc{0, 0, 0, 128, 0, 0, 0, 128, 0}, white_first{255, 255, 255, 0, 0, 0},
      black_first{0, 0, 0, 255, 255, 255}, red_first{200, 0, 0, 0, 0, 0};
  for (const uint8_t depth : {1, 4, 8}) {
    CAPTURE(int{depth});
    for (const bool bmp : {false, true}) {
      const auto bytes = [&](const ImageFile& f) { return bmp ? bmp_of(f) : png_of(f); };
      CHECK(read(bytes(file({0, 1, 1}, voc, depth))) == Mask{0, 255, 255});
      CHECK(read(bytes(file({0, 1, 1}, black_first, depth))) == Mask{0, 255, 255});
      CHECK(read(bytes(file({1, 1}, black_first, depth))) == Mask{255, 255});
      CHECK(read(bytes(file({0, 0}, black_first, depth))) == Mask{0, 0});
      for (const Values& indices : {Values{0, 1}, Values{0, 0}, Values{1, 1}})
        CHECK(error_of([&] { read(bytes(file(indices, white_first, depth))); }).find("contradict") !=
              std::string::npos);
      CHECK(error_of([&] { read(bytes(file({0, 1}, red_first, depth))); }).find("contradict") != std::string::npos);
      CHECK(read(bytes(file({0, 1}, white_first, depth)), 0) == Mask{0, 255});
    }
  }
  CHECK(contains(refusal(file({0, 1, 2}, voc)), "palette indices"));
  CHECK(read(file({0, 1, 2}, voc), 1) == Mask{0, 0, 255});
  CHECK(contains(refusal(file({0, 2, 2}, voc)), "palette indices"));
  CHECK(contains(refusal(file({0, 3}, {0, 0, 0, 1, 2, 3, 4, 5, 6, 9, 9, 90}, 2)), "palette indices"));  // class 3 of 4
  // A palette in which colour i is the grey i is grey; greys in another order are read by what they look like, if that
  // is clear.
  ImageBytes ramp;
  for (int i = 0; i < 256; ++i) ramp.insert(ramp.end(), 3, static_cast<uint8_t>(i));
  CHECK(read(file({0, 200}, ramp)) == Mask{0, 200});
  const ImageFile soft = disc(64, 20, soft_edge(4, 255));
  CHECK(read(ImageFile{64, 64, soft.samples, 8, kIndexed, ramp, {}}) == Mask(soft.samples.begin(), soft.samples.end()));
  CHECK(read(bmp_of({64, 64, soft.samples, 8, kGrey, ramp, {}})) == Mask(soft.samples.begin(), soft.samples.end()));
  CHECK(read(file({0, 2}, {0, 0, 0, 9, 9, 9, 255, 255, 255})) == Mask{0, 255});
  CHECK(refusal(file({0, 1, 2}, {0, 0, 0, 128, 128, 128, 255, 255, 255})) != "");
  // A background that is bright, or no darker than the foreground.
  for (const ImageBytes& palette : {ImageBytes{255, 0, 0, 0, 0, 40}, ImageBytes{255, 0, 0, 255, 0, 0}})
    CHECK(contains(refusal(file({0, 1}, palette)), "contradict"));
  CHECK(contains(refusal(file({0, 0}, {255, 0, 0, 0, 0, 40})), "contradict"));
  // Transparency of indices.
  CHECK(read(file({0, 1}, voc, 8, {0})) == Mask{0, 255});
  CHECK(contains(refusal(file({0, 1}, voc, 8, {255, 0})), "transparen"));
}

TEST_CASE("mask: transparency that varies is a mask, alone or where it agrees with the values") {
  const auto grey_alpha = [](const Values& samples, uint8_t depth = 8) {
    return ImageFile{1, static_cast<uint32_t>(samples.size() / 2), samples, depth, kGreyAlpha, {}, {}};
  };
  const auto rgba = [](const Values& samples, uint8_t depth = 8) {
    return ImageFile{1, static_cast<uint32_t>(samples.size() / 4), samples, depth, kRgba, {}, {}};
  };
  for (const uint8_t depth : {8, 16}) {
    const auto full = static_cast<uint16_t>((1 << depth) - 1);
    CHECK(read(grey_alpha({0, full, full, full}, depth)) == Mask{0, 255});                      // opaque
    CHECK(read(grey_alpha({full, 0, full, full}, depth)) == Mask{0, 255});                      // white on nothing
    CHECK(read(grey_alpha({0, 0, 0, full}, depth)) == Mask{0, 255});                            // black on nothing
    CHECK(read(grey_alpha({full, 0, full, 0}, depth)) == Mask{0, 0});                           // nothing at all
    CHECK(read(grey_alpha({0, 0, full, full}, depth)) == Mask{0, 255});                         // both
    CHECK(contains(refusal(grey_alpha({full, 0, 0, full}, depth)), "contradict"));              // black on white
    CHECK(contains(refusal(grey_alpha({0, full, full, full, full, 0}, depth)), "contradict"));  // which is it?
    CHECK(contains(refusal(grey_alpha({0, 0, full, 0}, depth)), "contradict"));
    CHECK(read(rgba({full, full, full, 0, full, full, full, full}, depth)) == Mask{0, 255});
    CHECK(read(rgba({9, 0, 0, 0, 9, 0, 0, full}, depth)) == Mask{0, 255});  // one colour
    CHECK(read(rgba({0, 0, 0, 0, 9, 0, 0, full}, depth)) == Mask{0, 255});
    CHECK(contains(refusal(rgba({0, 0, 0, full, 9, 0, 0, 0}, depth)), "contradict"));
  }
  CHECK(contains(refusal(grey_alpha({7, 0, 7, 100})), "100 (1 pixels)"));
  CHECK(read(grey_alpha({7, 0, 7, 100}), 50) == Mask{0, 255});
  CHECK(read(grey_alpha({0, 128, 255, 128})) == Mask{0, 255});  // half transparent all over
  // Grey that is transparent where it is black, of fewer bits.
  CHECK(read(ImageFile{1, 2, {0, 3}, 2, kGrey, {}, {0, 0}}) == Mask{0, 255});
  CHECK(contains(refusal({1, 2, {0, 3}, 2, kGrey, {}, {0, 3}}), "contradict"));
}

TEST_CASE("mask: colours: grey in three channels is grey; black and one colour; all else is refused") {
  const auto rgb = [](const Values& samples, uint8_t depth = 8) {
    return ImageFile{1, static_cast<uint32_t>(samples.size() / 3), samples, depth, kRgb, {}, {}};
  };
  CHECK(read(rgb({0, 0, 0, 1, 1, 1})) == Mask{0, 255});
  CHECK(read(rgb({0, 0, 0, 200, 200, 200})) == Mask{0, 200});
  CHECK(refusal(rgb({0, 0, 0, 1, 1, 1, 255, 255, 255})) != "");
  CHECK(read(rgb({0, 0, 0, 1, 1, 1, 255, 255, 255}), 1) == Mask{0, 0, 255});
  CHECK(read(rgb({0, 0, 0, 65535, 65535, 65535}, 16)) == Mask{0, 255});
  CHECK(read(rgb({128, 0, 0, 0, 0, 0})) == Mask{255, 0});
  CHECK(read(rgb({0, 0, 0, 0, 0, 300}, 16)) == Mask{0, 255});
  CHECK(contains(refusal(rgb({128, 0, 0, 0, 128, 0})), "got (0 128 0), (128 0 0)"));
  CHECK(refusal(rgb({128, 0, 0, 128, 0, 0})) != "");
  CHECK(refusal(rgb({0, 0, 0, 128, 0, 0, 0, 128, 0})) != "");
  Values many;
  for (uint16_t i = 0; i < 300; ++i) many.insert(many.end(), {uint16_t(i % 7), uint16_t(i % 256), 3});
  CHECK(contains(refusal(rgb(many)), ", ..."));
}

TEST_CASE("mask: distance maps and nested rings are not soft edges") {
  CHECK(contains(refusal(disc(64, 18, [](double inside) { return std::clamp(inside * 255 / 17.8, 0.0, 255.0); })),
                 "values"));
  CHECK(contains(
      refusal(
          disc(64, 16, [](double inside) { return inside < 0 ? 0 : std::min(255.0, 17 * std::floor(inside + 1)); })),
      "values"));
}

TEST_CASE("mask: a threshold is for values: colours are refused with it") {
  const ImageFile colours{1, 2, {0, 0, 0, 100, 0, 0}, 8, kRgb, {}, {}};
  CHECK(read(colours) == Mask{0, 255});
  CHECK(contains(refusal(colours, 200), "--mask-threshold"));
}
