#include "tools/status_line.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tools/printing.h"

namespace lgms::tools {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

bool is_terminal() {
  const char* kind = std::getenv("TERM");
  return isatty(STDERR_FILENO) && kind != nullptr && std::strcmp(kind, "dumb") != 0;
}

constexpr const char* kClear = "\r\033[K";
std::atomic<bool> on_screen{false};  // a line that has not ended

// "[#####     ]".
std::string bar(double done) {
  constexpr int width = 20;
  const int full = std::clamp(static_cast<int>(std::lround(done * width)), 0, width);
  return '[' + std::string(static_cast<size_t>(full), '#') + std::string(static_cast<size_t>(width - full), ' ') + ']';
}

size_t columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u : 79u;
}

}  // namespace

StatusLine::StatusLine() : terminal_(is_terminal()), last_(terminal_ ? 0 : now()) {}

void StatusLine::show(const std::string& text, double done) {
  const double time = now();
  if (time - last_ < (terminal_ ? 0.1 : 30)) return;
  last_ = time;
  if (!terminal_) {
    std::fprintf(stderr, "%s\n", printable(text).c_str());
    return;
  }
  const std::string line = printable((done < 0 ? "" : bar(done) + ' ') + text);
  std::fprintf(stderr, "%s%s", kClear, line.substr(0, columns()).c_str());
  std::fflush(stderr);
  shown_ = true;
  on_screen = true;
}

void StatusLine::print(const std::string& text) {
  note(text);
  shown_ = false;
  if (!terminal_) last_ = now();
}

void StatusLine::note(std::string_view text) {
  std::fprintf(stderr, "%s%s\n", on_screen.exchange(false) ? kClear : "", printable(text).c_str());
}

void StatusLine::clear() {
  if (shown_) std::fputs(kClear, stderr);
  if (shown_) on_screen = false;
  shown_ = false;
}

std::string duration(double seconds) {
  const auto s = static_cast<long>(std::lround(std::max(seconds, 0.0)));
  char line[48];
  if (s < 100)
    std::snprintf(line, sizeof line, "%ld s", s);
  else if (s < 6000)
    std::snprintf(line, sizeof line, "%ld min %02ld s", s / 60, s % 60);
  else
    std::snprintf(line, sizeof line, "%ld h %02ld min", s / 3600, s / 60 % 60);
  return line;
}

}  // namespace lgms::tools
