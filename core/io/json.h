#pragma once
// JSON values. Text is read and written by nlohmann/json; the values are our own, because nlohmann's take memory when
// they are destroyed, which ends the process where there is none.
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lgms::io {

class Json {
 public:
  enum class Kind { null, boolean, integer, real, string, array, object };
  using Member = std::pair<std::string, Json>;

  Json() = default;
  template <class T>
  Json(const T& value) {  // NOLINT: implicit on purpose
    if constexpr (std::is_same_v<T, bool>) {
      kind_ = Kind::boolean;
      integer_ = value;
    } else if constexpr (std::is_integral_v<T>) {
      kind_ = Kind::integer;
      integer_ = static_cast<int64_t>(value);
      above_ = std::is_unsigned_v<T> && integer_ < 0;
    } else if constexpr (std::is_floating_point_v<T>) {
      kind_ = Kind::real;
      real_ = static_cast<double>(value);
    } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
      kind_ = Kind::string;
      string_ = std::string_view(value);
    } else {  // a range
      kind_ = Kind::array;
      for (const auto& item : value) items_.emplace_back(item);
    }
  }
  static Json array(std::initializer_list<Json> items = {});
  static Json object(std::initializer_list<Member> members = {});

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::null; }
  bool is_boolean() const { return kind_ == Kind::boolean; }
  bool is_integer() const { return kind_ == Kind::integer; }
  bool is_number() const { return kind_ == Kind::integer || kind_ == Kind::real; }
  bool is_string() const { return kind_ == Kind::string; }
  bool is_array() const { return kind_ == Kind::array; }
  bool is_object() const { return kind_ == Kind::object; }

  // The value, which is of that kind; else false, 0, "" or no items.
  bool boolean() const { return is_boolean() && integer_ != 0; }
  // Whether an integer is one that int64_t or uint64_t holds, and its value.
  bool fits_int64() const { return is_integer() && !above_; }
  bool fits_uint64() const { return is_integer() && (above_ || integer_ >= 0); }
  int64_t integer() const { return integer_; }
  uint64_t natural() const { return static_cast<uint64_t>(integer_); }
  double number() const;  // of an integer too
  const std::string& string() const { return string_; }
  const std::vector<Json>& items() const { return items_; }        // of an array
  const std::vector<Member>& members() const { return members_; }  // of an object, in order
  size_t size() const { return items_.size() + members_.size(); }

  // The member of an object, nullptr where there is none; of its few members, one after another.
  const Json* find(std::string_view key) const;
  bool contains(std::string_view key) const { return find(key) != nullptr; }
  // The member, a new one (null) where there is none; makes an object of null.
  Json& operator[](std::string_view key);
  void push_back(Json item);  // makes an array of null

  // indent < 0: on one line. Bytes that are not UTF-8 become U+FFFD; numbers that are not finite null.
  std::string dump(int indent = -1) const;

 private:
  friend class JsonReader;
  void write(std::string& out, int indent, int depth) const;

  Kind kind_ = Kind::null;
  bool above_ = false;  // an integer that only uint64_t holds
  int64_t integer_ = 0;
  double real_ = 0;
  std::string string_;
  std::vector<Json> items_;
  std::vector<Member> members_;
};

// JSON of unknown origin. problem: empty, or why the text is not JSON that is read here: "line 1, column 5: ...", a key
// that stands twice in its object, more than 64 levels. Time and memory are linear in the text, but for the order of
// keys.
struct ParsedJson {
  Json value;
  std::string problem;
};
ParsedJson parse_json(std::string_view text);

}  // namespace lgms::io
