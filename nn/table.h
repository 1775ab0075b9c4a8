#pragma once
// A table of numbers that grows by a row per epoch and lives in a CSV file.
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace lgms::nn {

struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<double>> rows;

  // The values of one column. Throws Error{internal} where there is none of that name.
  std::vector<double> column(const std::string& name) const;
  // A header line, then a line per row; seven significant digits.
  std::string to_csv() const;
  // Throws Error{data} naming file and line where it is not such a table, or is cut short.
  static Table from_csv(std::string_view csv, const std::string& source);
};

}  // namespace lgms::nn
