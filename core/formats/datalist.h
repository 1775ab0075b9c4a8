#pragma once
// Data sets described in JSON: the Decathlon's and MONAI's datalists, and nnU-Net's dataset.json.
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lgms::io {

struct Datalist {
  struct Pair {
    std::string image, label;  // as the file has them: relative to its folder unless absolute
  };
  std::vector<Pair> pairs;         // of the section; empty where the file has no such section
  std::vector<std::string> names;  // of the labels 0, 1, ...; empty where the file does not say
};

// section: "training", "validation", ... : a list of {"image": ..., "label": ...}. "labels" may be {"0": "background",
// ...} (Decathlon, nnU-Net 1) or {"background": 0, ...} (nnU-Net 2). Throws Error{data} naming the file and the key on
// anything else: several channels ("image" a list of several), regions, labels with gaps.
Datalist read_datalist(const std::filesystem::path& path, std::string_view section);
Datalist parse_datalist(std::span<const uint8_t> bytes, const std::string& name, std::string_view section);

}  // namespace lgms::io
