#include "nn/data/mask.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>

#include "core/error.h"

namespace lgms::nn {
namespace {

using Values = std::vector<uint16_t>;

// One number a pixel.
struct Plane {
  int64_t height, width;
  int depth;
  Values values;
  bool indices = false;  // of a palette: names, of which none lies between two others

  bool varies() const {
    return std::adjacent_find(values.begin(), values.end(), std::not_equal_to<>()) != values.end();
  }
};

// What a plane says; or, without a mask, why it says nothing.
struct Reading {
  std::vector<uint8_t> mask;
  std::string trouble;
  bool decided() const { return trouble.empty(); }
};

using Counts = std::vector<std::pair<int, int64_t>>;  // value, pixels; ascending

Counts counts_of(const Values& values) {
  std::vector<int64_t> pixels(1 << 16);
  for (const uint16_t v : values) ++pixels[v];
  Counts counts;
  for (int v = 0; v < 1 << 16; ++v)
    if (pixels[static_cast<size_t>(v)] > 0) counts.emplace_back(v, pixels[static_cast<size_t>(v)]);
  return counts;
}

std::string listed(const Counts& counts) {
  constexpr size_t most = 10;
  std::string list;
  for (size_t i = 0; i < std::min(most, counts.size()); ++i)
    list += text(i > 0 ? ", " : "", counts[i].first, " (", counts[i].second, " pixels)");
  if (counts.size() > most) list += text(", ... ", counts.back().first, ", ", counts.size(), " values");
  return list;
}

template <class Foreground>
std::vector<uint8_t> mapped(const Values& values, const Foreground& foreground) {
  std::vector<uint8_t> mask(values.size());
  std::transform(values.begin(), values.end(), mask.begin(),
                 [&](uint16_t v) { return static_cast<uint8_t>(foreground(v)); });
  return mask;
}

// Whether pixel (i, j) has a darker and a brighter neighbour, as on a slope from background to foreground.
bool on_slope(const Plane& p, int64_t i, int64_t j) {
  const auto at = [&](int64_t row, int64_t column) { return p.values[static_cast<size_t>(row * p.width + column)]; };
  bool darker = false, brighter = false;
  for (int64_t row = std::max<int64_t>(0, i - 1); row < std::min(p.height, i + 2); ++row)
    for (int64_t column = std::max<int64_t>(0, j - 1); column < std::min(p.width, j + 2); ++column) {
      darker = darker || at(row, column) < at(i, j);
      brighter = brighter || at(row, column) > at(i, j);
    }
  return darker && brighter;
}

// mask.h says what is soft.
bool soft(const Plane& p, const Counts& counts) {
  constexpr size_t fewest = 3;
  const int white = counts.back().first;
  if (counts.front().first != 0 || (white != 255 && white != (1 << p.depth) - 1) || counts.size() < fewest + 2)
    return false;
  if (counts[1].first > white / 2 || counts[counts.size() - 2].first <= white / 2) return false;
  const int64_t between = std::ssize(p.values) - counts.front().second - counts.back().second;
  if (2 * between > std::ssize(p.values) || between > 2 * counts.back().second) return false;
  int64_t slopes = 0;
  for (int64_t i = 0; i < p.height; ++i)
    for (int64_t j = 0; j < p.width; ++j) {
      const int v = p.values[static_cast<size_t>(i * p.width + j)];
      slopes += v != 0 && v != white && on_slope(p, i, j);
    }
  return 2 * slopes >= between;
}

Reading read(const Plane& p, std::optional<int> threshold) {
  if (threshold) return {mapped(p.values, [&](int v) { return v > *threshold ? 255 : 0; }), ""};
  const Counts counts = counts_of(p.values);
  const int full = (1 << p.depth) - 1, top = counts.back().first;
  if (counts.size() - (counts.front().first == 0) <= 1) {  // nothing, or one value that is not 0
    const bool known = top <= 1 || top == 255 || (top == full && !p.indices);
    if (known) return {mapped(p.values, [](int v) { return v > 0 ? 255 : 0; }), ""};
    if (!p.indices && p.depth == 8 && top > kMaskMiddle) return {mapped(p.values, [](int v) { return v; }), ""};
  } else if (!p.indices && soft(p, counts)) {
    return {mapped(p.values, [top](int v) { return (v * 255 + top / 2) / top; }), ""};
  }
  return {{},
          text(p.indices ? "palette indices" : "values", ": expected background 0 and one foreground value, 1 or 255",
               full > 1 && full != 255 && !p.indices ? text(" or ", full) : "", ", got ", listed(counts),
               "; if what lies above a number N is foreground, say --mask-threshold N; else write 0 and 1, or 0 and "
               "255")};
}

// Neither says background where the other says foreground.
bool agree(const Reading& a, const Reading& b) {
  for (size_t i = 0; i < a.mask.size(); ++i)
    if ((a.mask[i] == 0) != (b.mask[i] == 0) && std::max(a.mask[i], b.mask[i]) > kMaskMiddle) return false;
  return true;
}

// What a file holds, plane by plane.
struct Planes {
  const io::StoredImage& image;

  size_t pixels() const { return static_cast<size_t>(image.height * image.width); }
  template <class Value>
  Plane plane(int depth, const Value& value) const {
    Plane result{image.height, image.width, depth, Values(pixels())};
    for (size_t i = 0; i < pixels(); ++i)
      result.values[i] = value(&image.samples[i * static_cast<size_t>(image.channels)]);
    return result;
  }
  Plane channel(int64_t c) const {
    return plane(image.depth, [c](const uint16_t* sample) { return sample[c]; });
  }
  // An index outside of the palette has no colour: black, as in pictures.
  std::array<uint8_t, 4> colour(int index) const {
    const auto i = static_cast<size_t>(index);
    return i < image.palette.size() ? image.palette[i] : std::array<uint8_t, 4>{0, 0, 0, 255};
  }
  // Component c of the palette's colours.
  Plane looked_up(size_t c) const {
    return plane(8, [&](const uint16_t* sample) { return colour(*sample)[c]; });
  }
  std::optional<Plane> alpha() const {
    if (!image.palette.empty()) return looked_up(3);
    if (image.channels % 2 == 0) return channel(image.channels - 1);
    return {};
  }
  bool grey() const {
    for (size_t i = 0; image.channels >= 3 && i < pixels(); ++i) {
      const uint16_t* c = &image.samples[i * static_cast<size_t>(image.channels)];
      if (c[0] != c[1] || c[0] != c[2]) return false;
    }
    return true;
  }
  bool varies_but_for_alpha() const {
    for (int64_t c = 0; c < (image.channels >= 3 ? 3 : 1); ++c)
      if (channel(c).varies()) return true;
    return false;
  }
};

Reading read_colours(const Planes& file, std::optional<int> threshold) {
  constexpr size_t most = 10;
  std::map<std::array<int, 3>, int64_t> colours;
  const auto is_colour = [&](const uint16_t* c) {
    if (colours.size() <= most) ++colours[{c[0], c[1], c[2]}];
    return c[0] > 0 || c[1] > 0 || c[2] > 0;
  };
  const Plane plane = file.plane(1, is_colour);
  if (colours.size() == 2 && colours.contains({0, 0, 0}) && !threshold) return read(plane, {});
  std::string list;
  for (const auto& [c, count] : colours) list += text(list.empty() ? "" : ", ", '(', c[0], ' ', c[1], ' ', c[2], ")");
  return {{},
          text(threshold ? "colours: expected grey where there is a --mask-threshold, got "
                         : "colours: expected grey, or black and one colour, got ",
               list, colours.size() > most ? ", ..." : "",
               "; write a mask of 0 and 255 for every class, in masks/0, masks/1, ...")};
}

Reading read_palette(const Planes& file, std::optional<int> threshold) {
  Plane indices = file.channel(0);
  const Counts counts = counts_of(indices.values);
  const auto all = [&](const auto& property) {
    return std::all_of(counts.begin(), counts.end(),
                       [&](const auto& c) { return property(c.first, file.colour(c.first)); });
  };
  if (all([](int i, const auto& c) { return c[0] == i && c[1] == i && c[2] == i; })) return read(indices, threshold);
  indices.indices = true;
  const Reading by_index = read(indices, threshold);
  if (threshold) return by_index;
  bool contradiction = false;
  if (all([](int, const auto& c) { return c[0] == c[1] && c[0] == c[2]; })) {
    const Reading by_grey = read(file.looked_up(0), {});
    if (!by_index.decided()) return by_grey.decided() ? by_grey : by_index;
    contradiction = (by_grey.decided() && !agree(by_index, by_grey)) ||
                    (counts.size() == 2 && file.colour(counts[1].first)[0] < file.colour(counts[0].first)[0]);
  } else {
    const auto brightness = [&](size_t i) {
      const auto c = file.colour(counts[i].first);
      return std::max({c[0], c[1], c[2]});
    };
    contradiction = counts.size() == 1 ? (counts[0].first == 0) == (brightness(0) > kMaskMiddle)
                                       : brightness(0) >= brightness(counts.size() - 1) ||
                                             file.colour(counts[0].first) == file.colour(counts.back().first);
  }
  if (!by_index.decided() || !contradiction) return by_index;
  std::string list;
  for (const auto& [index, count] : counts) {
    const auto c = file.colour(index);
    list += text(list.empty() ? "" : ", ", index, " (", int{c[0]}, ' ', int{c[1]}, ' ', int{c[2]}, ")");
  }
  return {
      {},
      "palette: expected the background at index 0, and dark, got indices and colours that contradict each other: " +
          list + "; write the mask as grey, with 0 and 255"};
}

Reading with_alpha(const Reading& value, Reading alpha) {
  if (!value.decided()) return value;
  if (!alpha.decided()) return {{}, "alpha " + alpha.trouble};
  if (!agree(value, alpha))
    return {{},
            "alpha: expected what is transparent to be background and black, got transparency and values that "
            "contradict each other; write the mask as grey, without alpha, with 0 and 255"};
  for (size_t i = 0; i < alpha.mask.size(); ++i) alpha.mask[i] = std::min(alpha.mask[i], value.mask[i]);
  return alpha;
}

Reading read_file(const Planes& file, std::optional<int> threshold) {
  const std::optional<Plane> alpha = file.alpha();
  const bool transparent = alpha && (alpha->varies() || alpha->values.front() == 0);
  const bool alone = transparent && !file.varies_but_for_alpha();
  if (alone) return read(*alpha, threshold);
  const Reading value = !file.grey()                 ? read_colours(file, threshold)
                        : file.image.palette.empty() ? read(file.channel(0), threshold)
                                                     : read_palette(file, threshold);
  return transparent ? with_alpha(value, read(*alpha, threshold)) : value;
}

}  // namespace

Tensor mask_of(const io::StoredImage& image, const std::string& name, std::optional<int> threshold) {
  const Reading reading = read_file({image}, threshold);
  check(reading.decided(), ErrorKind::data, "[", name, "] ", reading.trouble);
  Tensor mask = Tensor::empty(Device::cpu, {image.height, image.width, 1}, DType::u8);
  std::copy(reading.mask.begin(), reading.mask.end(), mask.data<uint8_t>());
  return mask;
}

}  // namespace lgms::nn
