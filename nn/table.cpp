#include "nn/table.h"

#include <algorithm>
#include <charconv>

#include "core/error.h"

namespace lgms::nn {
namespace {

// Takes what stands before the next `end` off the front of text, and that too; all of it where there is none.
std::string_view take(std::string_view& text, char end) {
  const std::string_view front = text.substr(0, text.find(end));
  text.remove_prefix(std::min(front.size() + 1, text.size()));
  return front;
}

// How many cells a line has; an empty line has one, which is empty.
size_t cells_in(std::string_view line) { return static_cast<size_t>(std::count(line.begin(), line.end(), ',')) + 1; }

template <class Cell, class Text>
void append_line(std::string& csv, const std::vector<Cell>& cells, const Text& text) {
  for (size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) csv += ',';
    csv += text(cells[i]);
  }
  csv += '\n';
}

}  // namespace

std::vector<double> Table::column(const std::string& name) const {
  const auto found = std::find(columns.begin(), columns.end(), name);
  check(found != columns.end(), ErrorKind::internal, "[table] no column ", name);
  std::vector<double> values;
  for (const auto& row : rows) values.push_back(row[static_cast<size_t>(found - columns.begin())]);
  return values;
}

std::string Table::to_csv() const {
  std::string csv;
  append_line(csv, columns, [](const std::string& name) { return name; });
  for (const auto& row : rows)
    append_line(csv, row, [](double value) {
      char digits[32];
      const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value, std::chars_format::general, 7);
      return std::string(digits, end);
    });
  return csv;
}

Table Table::from_csv(std::string_view csv, const std::string& source) {
  const auto expect = [&](bool ok, size_t line, const auto&... expected_and_got) {
    check(ok, ErrorKind::data, "[", source, "] line ", line, ": expected ", expected_and_got...);
  };
  Table table;
  for (size_t number = 1; number == 1 || !csv.empty(); ++number) {
    expect(csv.find('\n') != csv.npos, number, "a line that ends, got the end of the file; it is cut short");
    std::string_view line = take(csv, '\n');
    const size_t count = cells_in(line);
    if (number == 1) {
      for (size_t i = 0; i < count; ++i) table.columns.emplace_back(take(line, ','));
      continue;
    }
    expect(count == table.columns.size(), number, table.columns.size(), " numbers, got ", count);
    std::vector<double>& row = table.rows.emplace_back();
    for (size_t i = 0; i < count; ++i) {
      const std::string_view cell = take(line, ',');
      const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), row.emplace_back());
      expect(error == std::errc() && end == cell.data() + cell.size(), number, "numbers, got \"", cell, '"');
    }
  }
  return table;
}

}  // namespace lgms::nn
