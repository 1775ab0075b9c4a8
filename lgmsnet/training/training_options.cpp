#include "lgmsnet/training/training_options.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/io/class_names.h"
#include "core/io/files.h"

namespace lgms {
namespace {

using io::Json;

template <class T>
bool all_allowed(const Allowed& allowed, const std::vector<T>& values) {
  return (values.empty() || values.size() == allowed.count) &&
         std::all_of(values.begin(), values.end(), [&](T value) { return allows(allowed, value); });
}

template <class T>
bool take_list(const Allowed& allowed, const Json& json, std::vector<T>& values) {
  values.resize(json.items().size());
  for (size_t i = 0; i < values.size(); ++i)
    if (!take(allowed, json.items()[i], values[i])) return false;
  return json.is_array() && allows(allowed, values);
}

// Not 1e+06.
std::string number(double value) {
  return value == std::floor(value) && std::abs(value) < 0x1p53 ? text(static_cast<int64_t>(value)) : text(value);
}

template <class T>
std::string text_of(const T& value) {
  if constexpr (std::is_floating_point_v<T>)
    return text(value);  // nan too, which JSON has not
  else
    return shown(value);
}

}  // namespace

bool allows(const Allowed&, bool) { return true; }
bool allows(const Allowed& allowed, double value) {
  return std::isfinite(value) && value >= allowed.least && value <= allowed.most;
}
bool allows(const Allowed& allowed, int64_t value) {
  return allows(allowed, static_cast<double>(value)) && value % allowed.multiple == 0;
}
bool allows(const Allowed& allowed, uint64_t value) { return allows(allowed, static_cast<double>(value)); }
bool allows(const Allowed& allowed, const std::string& value) {
  return value.find('\0') == value.npos &&
         (allowed.words.empty() || std::count(allowed.words.begin(), allowed.words.end(), value) > 0);
}
bool allows(const Allowed& allowed, const std::vector<int64_t>& value) { return all_allowed(allowed, value); }
bool allows(const Allowed& allowed, const std::vector<double>& value) { return all_allowed(allowed, value); }

bool take(const Allowed& allowed, const Json& json, bool& value) {
  value = json.boolean();
  return json.is_boolean() && allows(allowed, value);
}
bool take(const Allowed& allowed, const Json& json, int& value) {
  int64_t wide = 0;
  const bool fits = take(allowed, json, wide);
  value = static_cast<int>(wide);
  return fits && value == wide;
}
bool take(const Allowed& allowed, const Json& json, int64_t& value) {
  value = json.integer();
  return json.fits_int64() && allows(allowed, value);
}
bool take(const Allowed& allowed, const Json& json, uint64_t& value) {
  value = json.natural();
  return json.fits_uint64() && allows(allowed, value);
}
bool take(const Allowed& allowed, const Json& json, double& value) {
  value = json.number();
  return json.is_number() && allows(allowed, value);
}
bool take(const Allowed& allowed, const Json& json, std::string& value) {
  value = json.string();
  return json.is_string() && allows(allowed, value);
}
bool take(const Allowed& allowed, const Json& json, std::vector<int64_t>& value) {
  return take_list(allowed, json, value);
}
bool take(const Allowed& allowed, const Json& json, std::vector<double>& value) {
  return take_list(allowed, json, value);
}

std::string description(const Allowed& allowed, const Json& example) {
  if (example.is_boolean()) return "true or false";
  if (example.is_string()) {
    std::string words;
    for (const std::string_view word : allowed.words) words.append(words.empty() ? "" : ", ").append(word);
    return words.empty() ? "text" : "one of " + words;
  }
  const std::string range = allowed.most == Allowed{}.most ? "number from " + number(allowed.least)
                                                           : number(allowed.least) + " to " + number(allowed.most),
                    multiple = text("multiple", example.is_array() ? "s of " : " of ", allowed.multiple, " from ");
  if (example.is_array()) return text("three ", allowed.multiple > 1 ? multiple : "numbers from ", range);
  return (allowed.multiple > 1 ? "a " + multiple : allowed.most == Allowed{}.most ? "a " : "") + range;
}

void check_options(const TrainingOptions& options) {
  std::vector<std::string> standard;
  for_each_option(TrainingOptions{}, [&](const char*, const auto& value, const Allowed&, const char*) {
    standard.push_back(Json(value).dump());
  });
  std::set<std::string_view> known{"classes"};
  auto unset = standard.begin();
  for_each_option(options, [&](const char* name, const auto& value, const Allowed& allowed, const char*) {
    known.insert(name);
    const bool same = Json(value).dump() == *unset++;
    check(allows(allowed, value) || (same && !options.given.contains(name)), ErrorKind::usage, "[train] --", name,
          ": expected ", description(allowed, value), ", got ", text_of(value));
  });
  for (const std::string& name : options.given)
    check(known.contains(name), ErrorKind::usage, "[train] given: expected names of options, got \"", name, '"');
  io::check_class_names(options.data.classes, ErrorKind::usage, "[train] --classes");
}

std::string recipe_for(const TrainingData& data) {
  const bool volumes =
      io::is_folder(std::filesystem::path(data.folder) / "imagesTr") || io::lower_extension(data.train_list) == ".json";
  return std::string(default_recipe(volumes ? 3 : 2).name);
}

std::string shown(const Json& json) {
  const std::string all = json.dump();
  return all.size() <= 80 ? all : all.substr(0, 80) + "...";
}

}  // namespace lgms
