#include "nn/curves.h"

#include <cmath>

#include "nn/table.h"
#include "tests/support/testing.h"

using namespace lgms;
using namespace lgms::nn;

namespace {

int occurrences(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("curves: every finite point is marked, gaps split the line, names are escaped") {
  const std::string picture =
      svg({"a < b", "epoch", {{"loss & co", {1, 2, 3, 4}, {0.5, NAN, 0.25, 0.125}}, {"flat", {1, 4}, {0.3, 0.3}}}});
  CHECK(occurrences(picture, "<circle") == 5);
  CHECK(picture.find("a &lt; b") != std::string::npos);
  CHECK(picture.find("loss &amp; co") != std::string::npos);
  CHECK(picture.find("nan") == std::string::npos);
  CHECK(picture.ends_with("</svg>\n"));
}

TEST_CASE("curves: no points, one point and equal points still make a picture") {
  for (const std::vector<double>& y : {std::vector<double>{}, {0.0}, {2, 2, 2}, {NAN}}) {
    std::vector<double> x;
    for (size_t i = 0; i < y.size(); ++i) x.push_back(static_cast<double>(i));
    const std::string picture = svg({"title", "x", {{"s", x, y}}});
    CHECK(picture.find("nan") == std::string::npos);
    CHECK(picture.find("inf") == std::string::npos);
    CHECK(occurrences(picture, "text-anchor='end'") >= 2);
  }
}

TEST_CASE("curves: a table survives its CSV, and says which line is wrong") {
  const Table table{{"epoch", "loss"}, {{1, 0.5}, {2, 1.0 / 3}}};
  const Table read = Table::from_csv(table.to_csv(), "m.csv");
  CHECK(read.columns == table.columns);
  CHECK(read.rows[1][1] == doctest::Approx(1.0 / 3).epsilon(1e-6));
  CHECK(read.to_csv() == table.to_csv());
  CHECK(read.column("loss").size() == 2);
  CHECK(testing::error_of([&] { Table::from_csv("a,b\n1,2\n3,x\n", "m.csv"); }) ==
        "[m.csv] line 3: expected numbers, got \"x\"");
  CHECK(testing::error_of([&] { Table::from_csv("a,b\n1\n", "m.csv"); }) ==
        "[m.csv] line 2: expected 2 numbers, got 1");
  for (const auto& [csv, error] :
       std::vector<std::pair<const char*, const char*>>{{"a,b\n1,2,\n", "line 2: expected 2 numbers, got 3"},
                                                        {"a,b\n1,2\n\n3,4\n", "line 3: expected 2 numbers, got 1"},
                                                        {"a,b\n1,2\r\n", "line 2: expected numbers"},
                                                        {"a,b\n1,\n", "line 2: expected numbers, got \"\""},
                                                        {"a,b\n1,2\n3,0.12", "line 3: expected a line that ends"},
                                                        {"a,b", "line 1: expected a line that ends"},
                                                        {"", "line 1: expected a line that ends"}})
    CHECK(testing::error_of([&, csv = csv] { Table::from_csv(csv, "m.csv"); }).find(error) != std::string::npos);
}
