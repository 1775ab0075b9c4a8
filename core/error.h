#pragma once
// The one exception type, and the exit codes that the program gives its kinds.
#include <charconv>
#include <exception>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>

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
  const std::string& message() const noexcept { return text_; }  // whole, whatever bytes it holds
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  ErrorKind kind_;
  std::string text_;
};

void append_text(std::string& out, std::string_view text);
// value, as text() writes it. Floating-point numbers are as short as reads back the same: 0.1, 0.99999994.
template <class T>
void append_text(std::string& out, const T& value) {
  if constexpr (std::is_same_v<T, char>) {
    append_text(out, std::string_view(&value, 1));
  } else if constexpr (std::is_arithmetic_v<T>) {
    char digits[32];
    const auto number = [&] {
      if constexpr (std::is_floating_point_v<T>)
        return std::to_chars(digits, digits + sizeof digits, value);
      else
        return std::to_chars(digits, digits + sizeof digits,
                             static_cast<std::conditional_t<sizeof(T) == 1, int, T>>(value));
    }();
    append_text(out, std::string_view(digits, static_cast<size_t>(number.ptr - digits)));
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    append_text(out, std::string_view(value));
  } else {
    std::ostringstream stream;
    stream.exceptions(std::ios::badbit);  // else a text that memory runs out for is cut short in silence
    stream << value;
    append_text(out, std::string_view(stream.str()));
  }
}

// text("a", 1, shape): the arguments written one after another.
template <class... Args>
std::string text(const Args&... args) {
  std::string out;
  (append_text(out, args), ...);
  return out;
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
    fail(ErrorKind::data, "[", name, "] ", e.message());
  }
}

}  // namespace lgms
