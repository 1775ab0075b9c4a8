#include "core/io/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/error.h"

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
  fail(ErrorKind::output, '[', path_.string(), "] cannot be ", action, ": ", std::strerror(errno), remedy(errno));
}

OutputFile::OutputFile(std::filesystem::path path)
    : path_(std::move(path)), temporary_(path_.parent_path() / text('.', path_.filename().string(), ".tmp")) {
  struct stat status {};
  check(!path_.filename().empty(), ErrorKind::output, '[', path_.string(), "] expected the name of a file");
  check(::stat(path_.c_str(), &status) != 0 || S_ISREG(status.st_mode), ErrorKind::output, '[', path_.string(),
        "] expected to write a file, but a folder or a device has this name; choose another");
  ::unlink(temporary_.c_str());  // what a killed process left
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_with("created");
  owned_ = true;
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (owned_) ::unlink(temporary_.c_str());
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
  // Another process that writes the same file has removed our temporary and made its own.
  struct stat ours {
  }, named{};
  const bool same = ::fstat(descriptor_, &ours) == 0 && ::stat(temporary_.c_str(), &named) == 0 &&
                    ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
  owned_ = same;
  check(same, ErrorKind::output, '[', path_.string(), "] is being written by somebody else; choose another name");
  const int descriptor = std::exchange(descriptor_, -1);
  if (::close(descriptor) != 0) fail_with("written");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_with("renamed");
  owned_ = false;
  // The new name survives a power cut once the folder is on the disk; not every file system can be asked for that.
  const std::filesystem::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
  if (const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); fd >= 0) {
    ::fsync(fd);
    ::close(fd);
  }
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
  std::error_code error;
  std::filesystem::create_directories(path, error);
  check(!error, ErrorKind::output, '[', path.string(), "] cannot be made a folder: ", error.message(),
        remedy(error.value()));
  check(std::filesystem::is_directory(path, error), ErrorKind::output, '[', path.string(),
        "] expected a folder, but a file has this name; choose another");
}

}  // namespace lgms::io
