#pragma once
// Progress on stderr: a line that is drawn over on a terminal, now and then a plain line elsewhere.
#include <string>
#include <string_view>

namespace lgms::tools {

class StatusLine {
 public:
  StatusLine();
  ~StatusLine() { clear(); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  bool terminal() const { return terminal_; }
  // Replaces the line, at most ten times a second; without a terminal one in 30 seconds is printed. done, in 0..1: on a
  // terminal a bar stands in front.
  void show(const std::string& text, double done = -1);
  // A line that stays.
  void print(const std::string& text);
  void clear();
  // A line that stays, from whoever has no status line: the one that is shown, if there is one, makes room.
  static void note(std::string_view text);

 private:
  bool terminal_, shown_ = false;
  double last_;
};

// "12 s", "3 min 20 s", "2 h 05 min".
std::string duration(double seconds);

}  // namespace lgms::tools
