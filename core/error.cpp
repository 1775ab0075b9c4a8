#include "core/error.h"

namespace lgms {

int exit_code(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::usage: return 2;
    case ErrorKind::data: return 3;
    case ErrorKind::model: return 4;
    case ErrorKind::device: return 5;
    case ErrorKind::check_failed: return 6;
    case ErrorKind::some_failed: return 7;
    case ErrorKind::interrupted: return 130;
    case ErrorKind::output:
    case ErrorKind::internal: return 1;
  }
  return 1;
}

void append_text(std::string& out, std::string_view text) { out += text; }

}  // namespace lgms
