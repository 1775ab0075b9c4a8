#include "tools/printing.h"

#include <cstdio>

namespace lgms::tools {

// C0, DEL, and C1 as UTF-8 has it (c2 80 to c2 9f).
std::string printable(std::string_view text, bool keep_lines) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    const bool control = byte < 0x20 || byte == 0x7f || (byte == 0xc2 && next >= 0x80 && next < 0xa0);
    if (!control || (keep_lines && byte == '\n')) {
      out += text[i];
      continue;
    }
    char code[8];
    std::snprintf(code, sizeof code, "\\x%02x", byte == 0xc2 ? next : byte);
    out += code;
    if (byte == 0xc2) ++i;
  }
  return out;
}

std::string fixed(double value, int digits) {
  char line[64];
  std::snprintf(line, sizeof line, "%.*f", digits, value);
  return line;
}

}  // namespace lgms::tools
