#include "nn/table.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "core/error.h"

namespace lgms::nn {
namespace {

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream in(line);
  for (std::string cell; std::getline(in, cell, ',');) cells.push_back(cell);
  return cells;
}

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

Table Table::from_csv(const std::string& csv, const std::string& source) {
  Table table;
  std::istringstream in(csv);
  std::string line;
  std::getline(in, line);
  table.columns = cells_of(line);
  for (int number = 2; std::getline(in, line); ++number) {
    std::vector<double> row;
    for (const std::string& cell : cells_of(line)) {
      const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), row.emplace_back());
      check(error == std::errc() && end == cell.data() + cell.size(), ErrorKind::data, "[", source, "] line ", number,
            ": expected numbers, got \"", cell, "\"");
    }
    check(row.size() == table.columns.size(), ErrorKind::data, "[", source, "] line ", number, ": expected ",
          table.columns.size(), " numbers, got ", row.size());
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace lgms::nn
