#include "nn/data/list.h"

#include <algorithm>
#include <unordered_map>

#include "core/error.h"
#include "core/io/bytes.h"

namespace lgms::nn {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 26;

}  // namespace

std::string trimmed(const std::string& text) {
  const char* blanks = " \t\r\n\v\f";
  const size_t first = text.find_first_not_of(blanks);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::vector<ListLine> read_lines(const std::filesystem::path& file) {
  const std::string all = io::read_text(file, ErrorKind::data, kMostBytes);
  std::vector<ListLine> lines;
  int number = 1;
  for (size_t begin = 0; begin < all.size(); ++number) {
    const size_t end = std::min(all.find_first_of("\r\n", begin), all.size());
    ListLine line{number, all.substr(begin, end - begin)};
    if (!trimmed(line.text).empty()) lines.push_back(std::move(line));
    begin = end + (all.compare(end, 2, "\r\n") == 0 ? 2 : 1);
  }
  check(!lines.empty(), ErrorKind::data, "[", file.string(), "] expected names, one per line, got none");
  return lines;
}

std::vector<std::string> read_list(const std::filesystem::path& file) {
  std::vector<std::string> stems;
  std::unordered_map<std::string, int> seen;
  for (const ListLine& line : read_lines(file)) {
    stems.push_back(trimmed(line.text));
    const auto [before, fresh] = seen.emplace(stems.back(), line.number);
    check(fresh, ErrorKind::data, "[", file.string(), "] line ", line.number, ": expected each name once, got \"",
          stems.back(), "\" again (line ", before->second, ")");
  }
  return stems;
}

}  // namespace lgms::nn
