#include "lgmsnet/config.h"

#include "lgmsnet/json.h"
#include "lgmsnet/steps.h"

namespace lgms {

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
  const JsonObject object(text, source, "config");
  const auto width = [&](const io::Json& value, const char* key) { return object.integer(value, key, 1, kMaxWidth); };
  Config config;
  config.rank = static_cast<int>(object.integer(object.member("rank"), "rank", 2, 3));
  config.in_channels = width(object.member("in_channels"), "in_channels");
  config.classes = width(object.member("classes"), "classes");
  const std::vector<io::Json>&dims = object.array("dims", 5, 5), &splits = object.array("splits", 4, 4),
        &depths = object.array("depths", 3);
  for (size_t i = 0; i < 5; ++i) config.dims[i] = width(dims[i], "dims");
  for (size_t i = 0; i < 4; ++i) {
    check(splits[i].is_array() && splits[i].size() == 2, ErrorKind::model, object.where(),
          " splits: expected pairs, got ", splits[i].dump());
    config.splits[i] = {width(splits[i].items()[0], "splits"), width(splits[i].items()[1], "splits")};
  }
  for (size_t i = 0; i < 3; ++i) config.depths[i] = object.integer(depths[i], "depths", 1, kMaxDepth);
  object.expect_only({"rank", "in_channels", "classes", "dims", "splits", "depths"});
  config.validate(source);
  return config;
}

std::string Config::to_json() const {
  io::Json list = io::Json::array();
  for (const Split& split : splits) list.push_back(std::array{split.attention, split.convolution});
  io::Json object;
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
  const auto expect = [&](const char* key, int64_t value, int64_t most) {
    check(value >= 1 && value <= most, ErrorKind::model, "[", source, "] config ", key, ": expected 1 to ", most,
          ", got ", value);
  };
  expect("in_channels", in_channels, kMaxWidth);
  expect("classes", classes, kMaxWidth);
  for (const int64_t width : dims) expect("dims", width, kMaxWidth);
  for (const Split& split : splits)
    for (const int64_t width : {split.attention, split.convolution}) expect("splits", width, kMaxWidth);
  for (const int64_t depth : depths) expect("depths", depth, kMaxDepth);
  for (size_t i = 0; i < 2; ++i)  // LMS blocks run on c1 and c2
    check(dims[i] % 4 == 0, ErrorKind::model, "[", source, "] config dims[", i, "]: expected a multiple of 4, got ",
          dims[i]);
  const std::array<int64_t, 4> widths{dims[3], dims[4], dims[3], dims[2]};
  for (size_t i = 0; i < 4; ++i)
    check(splits[i].width() == widths[i], ErrorKind::model, "[", source, "] config splits[", i,
          "]: expected a pair that adds up to the block's width ", widths[i], ", got ", splits[i].attention, " + ",
          splits[i].convolution);
  int64_t elements = 0;
  for (const ParameterSpec& p : parameter_specs(*this)) elements += p.shape.numel();
  check(elements <= kMaxElements, ErrorKind::model, "[", source, "] config: expected a network of at most ",
        kMaxElements, " weights, got ", elements);
}

}  // namespace lgms
