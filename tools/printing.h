#pragma once
// Text and numbers for people to read.
#include <string>
#include <string_view>
#include <vector>

namespace lgms::tools {

// Text from a file or a file's name that a terminal may be shown: control characters become \xNN, so that nobody who
// writes a file writes to the terminal. Line breaks too, unless they are to stay.
std::string printable(std::string_view text, bool keep_lines = false);

// With so many digits behind the point.
std::string fixed(double value, int digits);

// Of an even number of samples the mean of the two in the middle; of none 0.
double median(std::vector<double> samples);

}  // namespace lgms::tools
