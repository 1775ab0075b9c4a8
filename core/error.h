#pragma once
// The one exception type, and the exit codes that the program gives its kinds.
#include <exception>
#include <sstream>
#include <string>

namespace lgms {

// usage: arguments that make no sense; data: an input file or image; model: weights, checkpoints, configurations;
// device: no such device, or no memory; output: unwritable or full; internal: a bug or a diverged run;
// check_failed: a comparison failed; some_failed: the rest was done; interrupted: stopped on request.
enum class ErrorKind { usage, data, model, device, output, internal, check_failed, some_failed, interrupted };

// The program's exit code for each kind: usage 2, data 3, model 4, device 5, output and internal 1, check_failed 6,
// some_failed 7, interrupted 130.
int exit_code(ErrorKind kind) noexcept;

// What every function of the library throws. text: "[op or file] argument: expected ..., got ...; what to do".
class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string text) : kind_(kind), text_(std::move(text)) {}
  ErrorKind kind() const noexcept { return kind_; }
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  ErrorKind kind_;
  std::string text_;
};

// text("a", 1, shape): the arguments written one after another.
template <class... Args>
std::string text(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return out.str();
}

// Throws Error{kind, text(args...)}.
template <class... Args>
[[noreturn]] void fail(ErrorKind kind, const Args&... args) {
  throw Error(kind, text(args...));
}

// check(ok, ErrorKind::usage, ...): fail unless ok. The arguments are formatted only on failure.
template <class... Args>
void check(bool ok, ErrorKind kind, const Args&... args) {
  if (!ok) [[unlikely]]
    fail(kind, args...);
}

// f(), whose Error{data}s do not know the file that they are about: its name goes in front.
template <class F>
auto about_file(const std::string& name, const F& f) {
  try {
    return f();
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::data) throw;
    fail(ErrorKind::data, "[", name, "] ", e.what());
  }
}

}  // namespace lgms
