#include "core/io/datalist.h"

#include <charconv>

#include "core/error.h"
#include "core/io/bytes.h"
#include "core/io/json.h"

namespace lgms::io {
namespace {

using nlohmann::json;

constexpr uint64_t kMostBytes = uint64_t{1} << 28;
constexpr int64_t kMostLabels = 256;

std::string shown(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 80);
}

// A path, or a list of one.
std::string path_of(const json& entry, const char* key, const std::string& where) {
  if (!entry.is_object() || !entry.contains(key))
    fail(ErrorKind::data, where, ": expected an object with the key \"", key, "\", got ", shown(entry));
  const json& value = entry[key].is_array() && entry[key].size() == 1 ? entry[key][0] : entry[key];
  if (!value.is_string() || value.get_ref<const std::string&>().empty())
    fail(ErrorKind::data, where, " ", key, ": expected the path of one file (images have one channel here), got ",
         shown(entry[key]));
  return value.get<std::string>();
}

// {"0": "background", "1": ...} or {"background": 0, ...} -> names by number.
std::vector<std::string> names_of(const json& labels, const std::string& where) {
  if (!labels.is_object() || labels.empty() || std::ssize(labels) > kMostLabels)
    fail(ErrorKind::data, where, " labels: expected an object of 1 to ", kMostLabels, " labels, got ", shown(labels));
  std::vector<std::string> names(labels.size());
  std::vector<bool> seen(labels.size());
  for (const auto& [key, value] : labels.items()) {
    int64_t number = -1;
    if (value.is_number_integer())
      number = value.get<int64_t>();
    else if (const char* end = key.data() + key.size();
             value.is_string() && std::from_chars(key.data(), end, number).ptr != end)
      number = -1;
    check(number >= 0 && number < std::ssize(names) && !seen[static_cast<size_t>(number)], ErrorKind::data, where,
          " labels: expected the numbers 0 to ", labels.size() - 1, ", each once, got ", shown(value), " for ", key);
    names[static_cast<size_t>(number)] = value.is_string() ? value.get<std::string>() : key;
    seen[static_cast<size_t>(number)] = true;
  }
  return names;
}

}  // namespace

Datalist parse_datalist(std::span<const uint8_t> bytes, const std::string& name, std::string_view section) {
  const std::string where = "[" + name + "]";
  const json file = parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (!file.is_object())
    fail(ErrorKind::data, where, " expected a data set as a JSON object, got ",
         file.is_discarded() ? "text that is not JSON (or of more than 64 levels)" : shown(file));
  Datalist list;
  if (file.contains("labels")) list.names = names_of(file["labels"], where);
  const auto found = file.find(std::string(section));
  if (found == file.end()) return list;
  if (!found->is_array()) fail(ErrorKind::data, where, " ", section, ": expected a list, got ", shown(*found));
  for (size_t i = 0; i < found->size(); ++i) {
    const std::string entry = text(where, " ", section, " ", i);
    list.pairs.push_back({path_of((*found)[i], "image", entry), path_of((*found)[i], "label", entry)});
  }
  return list;
}

Datalist read_datalist(const std::filesystem::path& path, std::string_view section) {
  return parse_datalist(read_file(path, ErrorKind::data, kMostBytes), path.string(), section);
}

}  // namespace lgms::io
