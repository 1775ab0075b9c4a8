#include "core/io/bytes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <new>

namespace lgms::io {

InputFile::InputFile(const std::filesystem::path& path, ErrorKind kind) : name_(path.string()), kind_(kind) {
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  check(descriptor_ >= 0, kind, '[', name_, "] expected a readable file, got: ", std::strerror(errno),
        errno == ENOENT ? "; check the path" : "");
  try {
    struct stat status {};
    check(::fstat(descriptor_, &status) == 0, kind, '[', name_, "] cannot be examined: ", std::strerror(errno));
    check(!S_ISDIR(status.st_mode), kind, '[', name_, "] expected a file, got a folder");
    check(S_ISREG(status.st_mode), kind, '[', name_, "] expected a regular file, got a device or a pipe");
    check(status.st_size > 0, kind, '[', name_, "] expected a file with contents, got an empty one");
    size_ = static_cast<uint64_t>(status.st_size);
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

InputFile::~InputFile() { ::close(descriptor_); }

size_t InputFile::read(std::span<uint8_t> into) {
  size_t done = 0;
  while (done < into.size()) {
    const ssize_t got = ::read(descriptor_, into.data() + done, into.size() - done);
    if (got < 0 && errno == EINTR) continue;
    check(got >= 0, kind_, '[', name_, "] cannot be read: ", std::strerror(errno));
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

Bytes read_file(const std::filesystem::path& path, ErrorKind kind, uint64_t most) {
  InputFile file(path, kind);
  const std::string name = path.string();
  check(file.size() <= most, kind, '[', name, "] expected at most ", most, " bytes, got ", file.size());
  Bytes bytes;
  try {
    bytes.resize(file.size());
  } catch (const std::bad_alloc&) { fail(ErrorKind::device, '[', name, "] no memory for its ", file.size(), " bytes"); }
  const size_t got = file.read(bytes);
  check(got == bytes.size(), kind, '[', name, "] expected ", bytes.size(), " bytes, got ", got,
        "; it became shorter while being read");
  return bytes;
}

}  // namespace lgms::io
