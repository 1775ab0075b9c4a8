#include "lgmsnet/config.h"

#include <nlohmann/json.hpp>

#include "core/error.h"

namespace lgms {
namespace {

using nlohmann::json;

constexpr int64_t kMaxWidth = 1 << 14, kMaxDepth = 64;

int64_t integer(const json& value, const std::string& source, const std::string& key, int64_t low, int64_t high) {
  check(value.is_number_integer(), ErrorKind::model, "[", source, "] config ", key, ": expected an integer, got ",
        value.dump());
  const int64_t number = value.get<int64_t>();
  check(number >= low && number <= high, ErrorKind::model, "[", source, "] config ", key, ": expected ", low, " to ",
        high, ", got ", number);
  return number;
}

const json& member(const json& object, const std::string& source, const char* key) {
  check(object.contains(key), ErrorKind::model, "[", source, "] config: expected the key ", key, ", got ",
        object.dump());
  return object[key];
}

const json& array(const json& object, const std::string& source, const char* key, size_t least) {
  const json& value = member(object, source, key);
  check(value.is_array() && value.size() >= least, ErrorKind::model, "[", source, "] config ", key, ": expected ",
        least, " entries, got ", value.dump());
  return value;
}

}  // namespace

Config Config::named(std::string_view name) {
  Config config;
  if (name == "2d") return config;
  config.rank = 3;
  config.in_channels = 1;
  config.classes = 14;
  if (name == "3d") return config;
  if (name == "3d-l0") {
    config.depths = {1, 1, 3};
    return config;
  }
  if (name == "3d-l1" || name == "3d-l2") {
    config.dims = {32, 64, 128, 160, 256};
    config.splits = {{{120, 40}, {192, 64}, {120, 40}, {96, 32}}};
    config.depths = {1, 1, name == "3d-l1" ? 2 : 3};
    return config;
  }
  fail(ErrorKind::usage, "[config] expected 2d, 3d, 3d-l0, 3d-l1 or 3d-l2, got '", name, "'");
}

Config Config::from_json(const std::string& text, const std::string& source) {
  const json object = json::parse(text, nullptr, false);
  check(object.is_object(), ErrorKind::model, "[", source, "] config: expected a JSON object, got ",
        text.substr(0, 80));
  Config config;
  config.rank = static_cast<int>(integer(member(object, source, "rank"), source, "rank", 2, 3));
  config.in_channels = integer(member(object, source, "in_channels"), source, "in_channels", 1, kMaxWidth);
  config.classes = integer(member(object, source, "classes"), source, "classes", 1, kMaxWidth);
  const json &dims = array(object, source, "dims", 5), &splits = array(object, source, "splits", 4),
             &depths = array(object, source, "depths", 3);
  for (size_t i = 0; i < 5; ++i) config.dims[i] = integer(dims[i], source, "dims", 1, kMaxWidth);
  for (size_t i = 0; i < 4; ++i) {
    check(splits[i].is_array() && splits[i].size() == 2, ErrorKind::model, "[", source,
          "] config splits: expected pairs, got ", splits[i].dump());
    config.splits[i] = {integer(splits[i][0], source, "splits", 1, kMaxWidth),
                        integer(splits[i][1], source, "splits", 1, kMaxWidth)};
  }
  for (size_t i = 0; i < 3; ++i) config.depths[i] = integer(depths[i], source, "depths", 1, kMaxDepth);
  config.validate(source);
  return config;
}

std::string Config::to_json() const {
  json list = json::array();
  for (const Split& split : splits) list.push_back({split.attention, split.convolution});
  nlohmann::ordered_json object;
  object["rank"] = rank;
  object["in_channels"] = in_channels;
  object["classes"] = classes;
  object["dims"] = dims;
  object["splits"] = list;
  object["depths"] = depths;
  return object.dump();
}

// The quarters of an LMS block need channels in fours; the widths of the four GMS blocks are those of their stage.
void Config::validate(const std::string& source) const {
  check(rank == 2 || rank == 3, ErrorKind::model, "[", source, "] config rank: expected 2 or 3, got ", rank);
  for (size_t i = 0; i < 2; ++i)  // LMS blocks run on c1 and c2
    check(dims[i] % 4 == 0, ErrorKind::model, "[", source, "] config dims[", i, "]: expected a multiple of 4, got ",
          dims[i]);
  const std::array<int64_t, 4> widths{dims[3], dims[4], dims[3], dims[2]};
  for (size_t i = 0; i < 4; ++i)
    check(splits[i].width() == widths[i], ErrorKind::model, "[", source, "] config splits[", i,
          "]: expected a pair that adds up to the block's width ", widths[i], ", got ", splits[i].attention, " + ",
          splits[i].convolution);
}

}  // namespace lgms
