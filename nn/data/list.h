#pragma once
// Lists of cases: text files, a line each.
#include <filesystem>
#include <string>
#include <vector>

namespace lgms::nn {

struct ListLine {
  int number;  // from 1
  std::string text;
};

// The lines of a list that are not blank, as they stand there; they end with LF, CR LF or CR. The text is UTF-8, or
// UTF-16 with its mark. Throws Error{data} where io::read_text does, above 64 MB, and where nothing is named.
std::vector<ListLine> read_lines(const std::filesystem::path& file);

// The same without blanks around: stems, which may hold anything else that a file name may. Throws Error{data} where
// one is named twice.
std::vector<std::string> read_list(const std::filesystem::path& file);

// Without spaces and other blanks around.
std::string trimmed(const std::string& text);

}  // namespace lgms::nn
