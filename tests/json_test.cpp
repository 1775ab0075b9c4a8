#include "core/io/json.h"

#include <array>

#include "support/testing.h"

using namespace lgms;
using namespace lgms::io;

namespace {

// JSON text, read and written again.
std::string again(const std::string& text, int indent = -1) {
  const ParsedJson parsed = parse_json(text);
  CAPTURE(parsed.problem);
  REQUIRE(parsed.problem.empty());
  return parsed.value.dump(indent);
}
std::string problem_of(const std::string& text) { return parse_json(text).problem; }

}  // namespace

TEST_CASE("json: every kind of value is read and written, members in their order") {
  for (const char* text : {"null", "true", "false", "0", "-7", "18446744073709551615", "-9223372036854775808", "0.5",
                           "1e-05", "1.0", "100000.0", "1e+300", R"("a\"b\\\n\u001bä")", "[]", "{}", "[1,[2,{}],3]",
                           R"({"z":1,"a":[true,null],"m":{"x":"y"}})"})
    CHECK(again(text) == text);
  CHECK(again(R"({"a":[1,2],"b":{}})", 1) == "{\n \"a\": [\n  1,\n  2\n ],\n \"b\": {}\n}");
}

TEST_CASE("json: values are made of numbers, texts, ranges and members") {
  Json json = Json::object({{"list", std::array{1, 2}}, {"flag", true}, {"text", "t"}, {"half", 0.5}});
  json["new"]["inner"] = uint64_t{1} << 63;
  json["list"].push_back(Json());
  CHECK(json.dump() == R"({"list":[1,2,null],"flag":true,"text":"t","half":0.5,"new":{"inner":9223372036854775808}})");
  CHECK(json.find("half")->number() == 0.5);
  CHECK(json.find("new")->find("inner")->natural() == uint64_t{1} << 63);
  CHECK(!json.find("new")->find("inner")->fits_int64());
  CHECK(json.find("absent") == nullptr);
  CHECK(Json(0.0 / 0.0).dump() == "null");
  CHECK(Json("\xff\x1b").dump() == "\"\xEF\xBF\xBD\\u001b\"");
  CHECK(Json("\x7f\xc2\x9b\xc2\xa0").dump() == "\"\\u007f\\u009b\xc2\xa0\"");
}

TEST_CASE("json: what is wrong is said: no JSON, keys that stand twice, too many levels") {
  CHECK(problem_of("{\"a\":").find("not JSON at byte 6") == 0);
  CHECK(problem_of("[1] x").find("not JSON") == 0);
  CHECK(problem_of("").find("not JSON") == 0);
  CHECK(problem_of("\"\xff\"").find("not JSON") == 0);
  CHECK(problem_of(R"({"a":1,"b":{"k":1,"j":2,"k":3}})") == "the key \"k\" stands twice");
  CHECK(problem_of(std::string(1'000'000, '[')) == "more than 64 levels");
  CHECK(problem_of(std::string(64, '[') + std::string(64, ']')).empty());
  CHECK(parse_json("{\"a\":[1,").value.is_null());
}
