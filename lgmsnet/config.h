#pragma once
// The network's configuration as data.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace lgms {

// Attention and convolution channels of a GMS block; together they are the block's width.
struct Split {
  int64_t attention, convolution;
  int64_t width() const { return attention + convolution; }
  friend bool operator==(const Split&, const Split&) = default;
};

// Spec "Configuration". Defaults: the 2D network of the paper.
struct Config {
  int rank = 2;  // of space: 2 or 3
  int64_t in_channels = 3;
  int64_t classes = 1;  // output channels: 2D logits of independent sigmoids, 3D of one softmax
  std::array<int64_t, 5> dims{16, 32, 64, 128, 128};
  std::array<Split, 4> splits{{{96, 32}, {96, 32}, {96, 32}, {48, 16}}};  // enc4, enc5, dec5, dec4
  std::array<int64_t, 3> depths{1, 1, 1};                                 // LMS blocks of encoder stages 1..3

  static constexpr int64_t kMaxWidth = 1 << 14, kMaxDepth = 64, kMaxElements = int64_t{1} << 31;
  static constexpr int64_t kHeads = 4, kHeadDim = 8;  // whatever the widths
  static constexpr int64_t kInner = kHeads * kHeadDim;
  // Sides of an input are multiples of it: four poolings by two, and attention's patches of two at the bottom.
  static constexpr int64_t kInputMultiple = 32;

  // "2d", "3d" (14 classes, 1 channel), "3d-l0", "3d-l1", "3d-l2": the paper's. Throws Error{usage} on another name.
  static Config named(std::string_view name);
  // {"rank": 2, "in_channels": 3, "classes": 1, "dims": [..5], "splits": [[96, 32], ..4], "depths": [..3 or more]}.
  // Throws Error{model} naming source and key on anything missing, mistyped or impossible.
  static Config from_json(const std::string& json, const std::string& source);
  std::string to_json() const;
  // Throws Error{model} where widths or depths are beyond reason, or the widths do not fit together (see the .cpp).
  void validate(const std::string& source) const;
  friend bool operator==(const Config&, const Config&) = default;
};

}  // namespace lgms
