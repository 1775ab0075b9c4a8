#include "lgmsnet/training/run_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "core/io/files.h"

namespace lgms {
namespace {

// " (process 12)", or nothing where the file does not say.
std::string owner(int descriptor) {
  char digits[16];
  const ssize_t got = ::pread(descriptor, digits, sizeof digits, 0);
  const std::string number(digits, std::find_if_not(digits, digits + std::max<ssize_t>(got, 0),
                                                    [](unsigned char c) { return std::isdigit(c) != 0; }));
  return number.empty() ? "" : " (process " + number + ")";
}

}  // namespace

void RunLock::take(const std::filesystem::path& folder) {
  if (descriptor_ >= 0) return;
  path_ = folder / ".lock";
  for (;;) {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
    check(descriptor_ >= 0, ErrorKind::output, "[", path_.string(), "] cannot be opened: ", std::strerror(errno),
          "; choose another output folder");
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      const std::string who = owner(descriptor_);
      ::close(std::exchange(descriptor_, -1));
      fail(ErrorKind::usage, "[", folder.string(), "] another training is at work in this folder", who,
           "; wait for it or choose another --out");
    }
    if (io::is_named(descriptor_, path_)) break;  // whoever had the lock before takes its file away
    ::close(std::exchange(descriptor_, -1));
  }
  // Only informs: it does not matter whether there is room for it.
  const std::string number = text(::getpid(), '\n');
  [[maybe_unused]] const int cut = ::ftruncate(descriptor_, 0);
  [[maybe_unused]] const ssize_t written = ::pwrite(descriptor_, number.data(), number.size(), 0);
}

RunLock::~RunLock() {
  if (descriptor_ < 0) return;
  if (io::is_named(descriptor_, path_)) ::unlink(path_.c_str());
  ::close(descriptor_);
}

}  // namespace lgms
