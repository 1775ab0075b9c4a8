#pragma once
// Text and numbers for people to read.
#include <string>
#include <string_view>

namespace lgms::tools {

// Text from a file or a file's name that a terminal may be shown: control characters become \xNN, so that nobody who
// writes a file writes to the terminal. Line breaks too, unless they are to stay.
std::string printable(std::string_view text, bool keep_lines = false);

// With so many digits behind the point.
std::string fixed(double value, int digits);

}  // namespace lgms::tools
