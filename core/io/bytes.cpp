#include "core/io/bytes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <new>

namespace lgms::io {
namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

Bytes read_file(const std::filesystem::path& path, ErrorKind kind, uint64_t most) {
  const std::string name = path.string();
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  check(file.fd >= 0, kind, '[', name, "] expected a readable file, got: ", std::strerror(errno),
        errno == ENOENT ? "; check the path" : "");
  struct stat status {};
  check(::fstat(file.fd, &status) == 0, kind, '[', name, "] cannot be examined: ", std::strerror(errno));
  check(!S_ISDIR(status.st_mode), kind, '[', name, "] expected a file, got a folder");
  check(S_ISREG(status.st_mode), kind, '[', name, "] expected a regular file, got a device or a pipe");
  check(status.st_size > 0, kind, '[', name, "] expected a file with contents, got an empty one");
  const auto size = static_cast<uint64_t>(status.st_size);
  check(size <= most, kind, '[', name, "] expected at most ", most, " bytes, got ", size);

  Bytes bytes;
  try {
    bytes.resize(size);
  } catch (const std::bad_alloc&) { fail(ErrorKind::device, '[', name, "] no memory for its ", size, " bytes"); }
  for (uint64_t done = 0; done < size;) {
    const ssize_t got = ::read(file.fd, bytes.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    check(got >= 0, kind, '[', name, "] cannot be read: ", std::strerror(errno));
    check(got > 0, kind, '[', name, "] expected ", size, " bytes, got ", done, "; it became shorter while being read");
    done += static_cast<uint64_t>(got);
  }
  return bytes;
}

}  // namespace lgms::io
