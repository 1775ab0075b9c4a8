#include "tools/printing.h"

#include <algorithm>
#include <cstdio>

#include "core/io/bytes.h"

namespace lgms::tools {

std::string printable(std::string_view text, bool keep_lines) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const std::optional<uint8_t> control = io::control_at(text, i);
    if (!control || (keep_lines && text[i] == '\n')) {
      out += text[i];
      continue;
    }
    char code[8];
    std::snprintf(code, sizeof code, "\\x%02x", *control);
    out += code;
    if (*control >= 0x80) ++i;
  }
  return out;
}

std::string fixed(double value, int digits) {
  char line[64];
  std::snprintf(line, sizeof line, "%.*f", digits, value);
  return line;
}

double median(std::vector<double> samples) {
  if (samples.empty()) return 0;
  std::sort(samples.begin(), samples.end());
  return (samples[samples.size() / 2] + samples[(samples.size() - 1) / 2]) / 2;
}

}  // namespace lgms::tools
