#include "core/io/class_names.h"

#include <vector>

#include "tests/support/testing.h"

using namespace lgms;

namespace {

std::string refusal(const std::vector<std::string>& names, ErrorKind kind = ErrorKind::data) {
  try {
    io::check_class_names(names, kind, "[x] labels");
  } catch (const Error& e) {
    CHECK(e.kind() == kind);
    CHECK(std::string(e.what()).starts_with("[x] labels: "));
    return e.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("class names: any UTF-8 without control characters, each once") {
  CHECK(refusal({}) == "");
  CHECK(refusal({"background", "left, \"a\"", " b ", "\u00e9\u3042", "\U0001fac0", "Background"}) == "");
  CHECK(contains(refusal({"a", "b", "a"}), "expected each name once, got \"a\" for classes 0 and 2"));
  CHECK(contains(refusal({"a", ""}), "for class 1, got an empty one"));
  for (const char* name : {"\xff", "a\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\x80"})
    CHECK(contains(refusal({"a", name}), "expected names in UTF-8, got other bytes for class 1"));
  for (const std::string& name : {std::string("a\n"), std::string("\x1b[31m"), std::string("a\0b", 3),
                                  std::string("\x7f"), std::string("\u0085"), std::string("\u009b")})
    CHECK(contains(refusal({name}), "without control characters"));
  CHECK(refusal({"\u00a0"}) == "");
}

TEST_CASE("class names: ignore is refused where data or a user say it, not in a model that has learnt it") {
  for (const char* name : {"ignore", "Ignore", "IGNORE"}) {
    CHECK(contains(refusal({"a", name}), "not annotated"));
    CHECK(contains(refusal({"a", name}, ErrorKind::usage), "not supported yet"));
    CHECK(refusal({"a", name}, ErrorKind::model) == "");
  }
  CHECK(refusal({"ignored", "ignore 2"}) == "");
  CHECK(contains(refusal({"a", "a"}, ErrorKind::model), "each name once"));
}
