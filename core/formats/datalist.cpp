#include "core/formats/datalist.h"

#include <charconv>

#include "core/error.h"
#include "core/io/bytes.h"
#include "core/io/class_names.h"
#include "core/io/json.h"

namespace lgms::io {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 28;
constexpr size_t kMostLabels = 256;

std::string shown(const Json& value) { return value.dump().substr(0, 80); }

// A path, or a list of one.
std::string path_of(const Json& entry, const char* key, const std::string& where) {
  const Json* found = entry.find(key);
  if (found == nullptr)
    fail(ErrorKind::data, where, ": expected an object with the key \"", key, "\", got ", shown(entry));
  const Json& value = found->is_array() && found->size() == 1 ? found->items()[0] : *found;
  if (value.string().empty())
    fail(ErrorKind::data, where, " ", key, ": expected the path of one file (images have one channel here), got ",
         shown(*found));
  check(value.string().find('\0') == std::string::npos, ErrorKind::data, where, " ", key,
        ": expected a path without NUL characters, got ", shown(value));
  return value.string();
}

// {"0": "background", "1": ...} or {"background": 0, ...} -> names by number.
std::vector<std::string> names_of(const Json& labels, const std::string& where) {
  if (!labels.is_object() || labels.size() == 0 || labels.size() > kMostLabels)
    fail(ErrorKind::data, where, " labels: expected an object of 1 to ", kMostLabels, " labels, got ", shown(labels));
  std::vector<std::string> names(labels.size());
  std::vector<bool> seen(labels.size());
  for (const auto& [key, value] : labels.members()) {
    int64_t number = -1;
    if (value.fits_int64())
      number = value.integer();
    else if (const char* end = key.data() + key.size();
             value.is_string() && std::from_chars(key.data(), end, number).ptr != end)
      number = -1;
    check(number >= 0 && number < std::ssize(names) && !seen[static_cast<size_t>(number)], ErrorKind::data, where,
          " labels: expected the numbers 0 to ", labels.size() - 1, ", each once, got ", shown(value), " for ", key);
    names[static_cast<size_t>(number)] = value.is_string() ? value.string() : key;
    seen[static_cast<size_t>(number)] = true;
  }
  check_class_names(names, ErrorKind::data, where + " labels");
  return names;
}

}  // namespace

Datalist parse_datalist(std::span<const uint8_t> bytes, const std::string& name, std::string_view section) {
  const std::string where = "[" + name + "]";
  const auto [file, problem] = parse_json(decode_text(bytes, name));
  if (!file.is_object())
    fail(ErrorKind::data, where, " expected a data set as a JSON object, got ",
         problem.empty() ? shown(file) : problem);
  Datalist list;
  if (const Json* labels = file.find("labels")) list.names = names_of(*labels, where);
  const Json* found = file.find(section);
  if (found == nullptr) return list;
  if (!found->is_array()) fail(ErrorKind::data, where, " ", section, ": expected a list, got ", shown(*found));
  for (size_t i = 0; i < found->size(); ++i) {
    const std::string entry = text(where, " ", section, " ", i);
    const Json& pair = found->items()[i];
    list.pairs.push_back({path_of(pair, "image", entry), path_of(pair, "label", entry)});
  }
  return list;
}

Datalist read_datalist(const std::filesystem::path& path, std::string_view section) {
  return parse_datalist(read_file(path, ErrorKind::data, kMostBytes), path.string(), section);
}

}  // namespace lgms::io
