#pragma once
// Progress on stderr: a line that is drawn over on a terminal, now and then a plain line elsewhere.
#include <string>

namespace lgms::tools {

class StatusLine {
 public:
  StatusLine();
  ~StatusLine() { clear(); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  bool terminal() const { return terminal_; }
  // Replaces the line, at most ten times a second; without a terminal one in 30 seconds is printed.
  void show(const std::string& text);
  // A line that stays.
  void print(const std::string& text);
  void clear();

 private:
  bool terminal_, shown_ = false;
  double last_;
};

// "[#####     ]", width characters between the brackets; done in 0..1.
std::string bar(double done, int width);
// "12 s", "3 min 20 s", "2 h 05 min".
std::string duration(double seconds);

}  // namespace lgms::tools
