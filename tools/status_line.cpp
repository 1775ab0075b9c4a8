#include "tools/status_line.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace lgms::tools {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

bool is_terminal() {
  const char* kind = std::getenv("TERM");
  return isatty(STDERR_FILENO) && kind != nullptr && std::strcmp(kind, "dumb") != 0;
}

size_t columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1u : 79u;
}

}  // namespace

StatusLine::StatusLine() : terminal_(is_terminal()), last_(terminal_ ? 0 : now()) {}

void StatusLine::show(const std::string& text) {
  const double time = now();
  if (time - last_ < (terminal_ ? 0.1 : 30)) return;
  last_ = time;
  if (!terminal_) {
    std::fprintf(stderr, "%s\n", text.c_str());
    return;
  }
  std::fprintf(stderr, "\r\033[K%s", text.substr(0, columns()).c_str());
  std::fflush(stderr);
  shown_ = true;
}

void StatusLine::print(const std::string& text) {
  clear();
  std::fprintf(stderr, "%s\n", text.c_str());
  if (!terminal_) last_ = now();
}

void StatusLine::clear() {
  if (shown_) std::fputs("\r\033[K", stderr);
  shown_ = false;
}

std::string bar(double done, int width) {
  const int full = std::clamp(static_cast<int>(std::lround(done * width)), 0, width);
  std::string drawn(static_cast<size_t>(width) + 2, ' ');
  drawn.front() = '[';
  drawn.back() = ']';
  std::fill_n(drawn.begin() + 1, full, '#');
  return drawn;
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
