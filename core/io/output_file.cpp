#include "core/io/output_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "core/io/files.h"

namespace lgms::io {
namespace {

const char* remedy(int reason) {
  switch (reason) {
    case ENOENT: return "; create the folder first";
    case ENOSPC:
    case EDQUOT: return "; free some space";
    case EACCES:
    case EPERM:
    case EROFS: return "; choose another output folder";
    default: return "";
  }
}

}  // namespace

void OutputFile::fail_with(const char* action) const {
  const int reason = errno;
  fail(kind_for(reason, ErrorKind::output), '[', path_.string(), "] cannot be ", action, ": ", std::strerror(reason),
       remedy(reason));
}

OutputFile::OutputFile(std::filesystem::path path) : path_(std::move(path)) {
  expect_no_nul(path_, ErrorKind::output);
  check(!path_.filename().empty(), ErrorKind::output, '[', path_.string(), "] expected the name of a file");
  const Found there = look_at(path_, ErrorKind::output);
  check(there == Found::nothing || there == Found::file, ErrorKind::output, '[', path_.string(),
        "] expected to write a file, but a folder or a device has this name; choose another");
  constexpr int kMostWriters = 1000;  // of one file at once
  for (int n = 0; n < kMostWriters; ++n) {
    // Short, whatever the file is called.
    if (take(path_.parent_path() / text(".lgms-", hash_of(path_.filename().native()), '-', n, ".tmp"))) return;
  }
  fail(ErrorKind::output, '[', path_.string(), "] is being written by ", kMostWriters,
       " others; remove .lgms-*.tmp in its folder");
}

// Makes the temporary, for which one that a killed process left is removed: an ordinary file of ours, locked by nobody.
// False where it is somebody else's.
bool OutputFile::take(const std::filesystem::path& name) {
  temporary_ = name;  // now: once the file is there, nothing may fail
  constexpr int flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  for (int attempt = 0; attempt < 2; ++attempt) {
    int descriptor = ::open(name.c_str(), flags | O_CREAT | O_EXCL, 0666);
    const bool made = descriptor >= 0;
    if (!made && errno != EEXIST) fail_with("created");
    if (!made) descriptor = ::open(name.c_str(), flags);
    if (descriptor < 0) return false;
    // Where the file system has no locks, what was made here is ours and nothing else is.
    const bool locked = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0, lockless = !locked && errno != EWOULDBLOCK;
    struct stat held {};
    const bool ours = (locked || (made && lockless)) && is_named(descriptor, name) && ::fstat(descriptor, &held) == 0 &&
                      S_ISREG(held.st_mode) && held.st_uid == ::geteuid();
    if (ours && made) {
      descriptor_ = descriptor;
      return true;
    }
    if (ours) ::unlink(name.c_str());
    ::close(descriptor);
    if (!ours) return false;
  }
  return false;
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  ::unlink(temporary_.c_str());
  ::close(descriptor_);
}

void OutputFile::write(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_with("written");
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void OutputFile::write(std::string_view text) { write({reinterpret_cast<const uint8_t*>(text.data()), text.size()}); }

void OutputFile::commit() {
  if (::fsync(descriptor_) != 0) fail_with("written");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_with("renamed");
  ::close(std::exchange(descriptor_, -1));  // after fsync there is nothing left that could fail
  // The new name survives a power cut once the folder is on the disk; not every file system can be asked for that.
  const std::filesystem::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;  // a folder that may be written to but not read
  const int error = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  errno = error;
  if (error != 0 && error != EINVAL && error != ENOTSUP && error != EROFS) fail_with("written (its folder)");
}

void write_file(const std::filesystem::path& path, std::span<const uint8_t> bytes) {
  OutputFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  write_file(path, std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

void ensure_directory(const std::filesystem::path& path) {
  expect_no_nul(path, ErrorKind::output);
  std::error_code error;
  std::filesystem::create_directories(path, error);
  check(!error, kind_for(error.value(), ErrorKind::output), '[', path.string(),
        "] cannot be made a folder: ", error.message(), remedy(error.value()));
  check(is_folder(path, ErrorKind::output), ErrorKind::output, '[', path.string(),
        "] expected a folder, but a file has this name; choose another");
}

}  // namespace lgms::io
