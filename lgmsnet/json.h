#pragma once
// Reading JSON objects of model files with errors that name source and key. Private to lgmsnet.
#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/io/json.h"

namespace lgms {

class JsonObject {
 public:
  // source: the file; what: "config", "recipe". Throws Error{model} unless text is a JSON object.
  JsonObject(const std::string& text, const std::string& source, const std::string& what)
      : where_("[" + source + "] " + what) {
    io::ParsedJson parsed = io::parse_json(text);
    check(parsed.problem.empty(), ErrorKind::model, where_, ": expected a JSON object, got: ", parsed.problem);
    object_ = std::move(parsed.value);
    check(object_.is_object(), ErrorKind::model, where_, ": expected a JSON object, got ", text.substr(0, 80));
  }

  const io::Json& member(const std::string& key) const {
    const io::Json* found = object_.find(key);
    check(found != nullptr, ErrorKind::model, where_, ": expected the key ", key, ", got ", object_.dump());
    return *found;
  }
  // An array of `least` to `most` entries.
  const std::vector<io::Json>& array(const std::string& key, size_t least, size_t most = SIZE_MAX) const {
    const io::Json& value = member(key);
    check(value.is_array() && value.size() >= least && value.size() <= most, ErrorKind::model, where_, " ", key,
          ": expected ", least, " entries, got ", value.dump());
    return value.items();
  }
  int64_t integer(const io::Json& value, const std::string& key, int64_t low, int64_t high) const {
    check(value.is_integer(), ErrorKind::model, where_, " ", key, ": expected an integer, got ", value.dump());
    const int64_t number = value.integer();
    check(value.fits_int64() && number >= low && number <= high, ErrorKind::model, where_, " ", key, ": expected ", low,
          " to ", high, ", got ", value.dump());
    return number;
  }
  double number(const io::Json& value, const std::string& key, double low, double high) const {
    check(value.is_number(), ErrorKind::model, where_, " ", key, ": expected a number, got ", value.dump());
    const double number = value.number();
    check(number >= low && number <= high, ErrorKind::model, where_, " ", key, ": expected ", low, " to ", high,
          ", got ", number);
    return number;
  }
  bool boolean(const std::string& key) const {
    check(member(key).is_boolean(), ErrorKind::model, where_, " ", key, ": expected true or false, got ",
          member(key).dump());
    return member(key).boolean();
  }
  std::string string(const std::string& key) const {
    check(member(key).is_string(), ErrorKind::model, where_, " ", key, ": expected a string, got ", member(key).dump());
    return member(key).string();
  }
  bool contains(const std::string& key) const { return object_.contains(key); }
  // Throws Error{model} naming a key that is none of these.
  void expect_only(std::initializer_list<std::string_view> keys) const {
    for (const auto& [key, value] : object_.members())
      check(std::find(keys.begin(), keys.end(), key) != keys.end(), ErrorKind::model, where_,
            ": expected no key that this version does not know, got ", key, "; a newer lgmsnet may read it");
  }
  const std::string& where() const { return where_; }

 private:
  io::Json object_;
  std::string where_;
};

}  // namespace lgms
