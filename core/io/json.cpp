#include "core/io/json.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/io/bytes.h"

namespace lgms::io {

Json Json::array(std::initializer_list<Json> items) {
  Json json;
  json.kind_ = Kind::array;
  json.items_ = items;
  return json;
}

Json Json::object(std::initializer_list<Member> members) {
  Json json;
  json.kind_ = Kind::object;
  json.members_ = members;
  return json;
}

double Json::number() const {
  if (!is_integer()) return real_;
  return above_ ? static_cast<double>(natural()) : static_cast<double>(integer_);
}

const Json* Json::find(std::string_view key) const {
  for (const Member& member : members_)
    if (member.first == key) return &member.second;
  return nullptr;
}

Json& Json::operator[](std::string_view key) {
  if (is_null()) kind_ = Kind::object;
  check(is_object(), ErrorKind::internal, "[json] expected an object for the key ", key);
  for (Member& member : members_)
    if (member.first == key) return member.second;
  return members_.emplace_back(std::string(key), Json()).second;
}

void Json::push_back(Json item) {
  if (is_null()) kind_ = Kind::array;
  check(is_array(), ErrorKind::internal, "[json] expected an array to add to");
  items_.push_back(std::move(item));
}

namespace {

// DEL and C1 (U+0080 to U+009F) are escaped as the other control characters are: some terminals obey them.
std::string quoted(const std::string& text) {
  const std::string plain = nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::string out;
  for (size_t i = 0; i < plain.size(); ++i) {
    const std::optional<uint8_t> control = control_at(plain, i);
    if (!control) {
      out += plain[i];
      continue;
    }
    char code[8];
    std::snprintf(code, sizeof code, "\\u%04x", *control);
    out += code;
    if (*control >= 0x80) ++i;
  }
  return out;
}

}  // namespace

void Json::write(std::string& out, int indent, int depth) const {
  const auto line = [&](int level) {
    if (indent < 0) return;
    out += '\n';
    out.append(static_cast<size_t>(indent) * static_cast<size_t>(level), ' ');
  };
  switch (kind_) {
    case Kind::null: out += "null"; return;
    case Kind::boolean: out += integer_ != 0 ? "true" : "false"; return;
    case Kind::integer: out += above_ ? text(natural()) : text(integer_); return;
    case Kind::real: out += nlohmann::json(real_).dump(); return;
    case Kind::string: out += quoted(string_); return;
    case Kind::array:
    case Kind::object: break;
  }
  out += is_array() ? '[' : '{';
  for (size_t i = 0; i < size(); ++i) {
    if (i > 0) out += ',';
    line(depth + 1);
    if (is_object()) out += quoted(members_[i].first) + (indent < 0 ? ":" : ": ");
    (is_array() ? items_[i] : members_[i].second).write(out, indent, depth + 1);
  }
  if (size() > 0) line(depth);
  out += is_array() ? ']' : '}';
}

std::string Json::dump(int indent) const {
  std::string out;
  write(out, indent, 0);
  return out;
}

// Takes what nlohmann's parser finds, value by value (its SAX interface); every function returns whether to go on.
class JsonReader {
 public:
  using Parser = nlohmann::json;

  bool null() { return add({}); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(Parser::number_integer_t value) { return add(value); }
  bool number_unsigned(Parser::number_unsigned_t value) { return add(value); }
  bool number_float(Parser::number_float_t value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(value); }
  bool binary(Parser::binary_t&) { return false; }
  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    open_.back()->members_.emplace_back(std::move(name), Json());
    return true;
  }
  bool end_object() {
    std::vector<std::string_view> keys;
    for (const Json::Member& member : open_.back()->members_) keys.push_back(member.first);
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice == keys.end()) return close();
    result.problem = text("the key \"", *twice, "\" stands twice");
    return false;
  }
  bool parse_error(size_t position, const std::string& token, const nlohmann::detail::exception&) {
    result.problem = text("not JSON at byte ", position, ", near \"", token.substr(0, 40), '"');
    return false;
  }

  ParsedJson result;

 private:
  static constexpr size_t kDeepest = 64;

  // The value's place: in the array that is open, under the last key of the object that is open, or the whole.
  Json* add(Json value) {
    Json* place = &result.value;
    if (!open_.empty())
      place = open_.back()->is_array() ? &open_.back()->items_.emplace_back() : &open_.back()->members_.back().second;
    *place = std::move(value);
    return place;
  }
  bool open(Json container) {
    open_.push_back(add(std::move(container)));
    if (open_.size() <= kDeepest) return true;
    result.problem = text("more than ", kDeepest, " levels");
    return false;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::vector<Json*> open_;  // containers, the outermost first; only the last one grows
};

ParsedJson parse_json(std::string_view text) {
  JsonReader reader;
  if (!nlohmann::json::sax_parse(text, &reader)) {
    reader.result.value = {};
    if (reader.result.problem.empty()) reader.result.problem = "not JSON";
  }
  return std::move(reader.result);
}

}  // namespace lgms::io
