#pragma once
// JSON of unknown origin. For source files of the few targets that link nlohmann_json, not for headers that others
// read.
#include <nlohmann/json.hpp>
#include <string_view>

namespace lgms::io {

// Discarded (value.is_discarded()) where text is not JSON, or nests deeper than 64: nlohmann/json prints and copies by
// recursion, so that a million brackets would end the process.
inline nlohmann::json parse_json(std::string_view text) {
  constexpr int kDeepest = 64;
  bool deep = false;
  const auto watch = [&deep](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    deep = deep || depth > kDeepest;
    return !deep;
  };
  nlohmann::json value = nlohmann::json::parse(text, watch, false);
  return deep ? nlohmann::json(nlohmann::json::value_t::discarded) : value;
}

}  // namespace lgms::io
