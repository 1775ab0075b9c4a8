#pragma once
// Files as bytes, and a reader that never leaves them. Every file format of core/io reads through these.
#include <bit>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace lgms::io {

using Bytes = std::vector<uint8_t>;

static_assert(std::endian::native == std::endian::little, "files are little-endian and read without swapping");

// A file, read from front to back. Throws Error{kind} where there is none, where it is a folder, a device, empty or
// unreadable.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path, ErrorKind kind = ErrorKind::data);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  uint64_t size() const { return size_; }
  // Fills `into`; returns how many bytes, fewer only at the end of the file.
  size_t read(std::span<uint8_t> into);

 private:
  std::string name_;
  ErrorKind kind_;
  int descriptor_;
  uint64_t size_ = 0;
};

// The whole file. Throws as InputFile does, Error{kind} above `most` bytes (the size is known before anything is
// allocated), Error{device} where memory runs out.
Bytes read_file(const std::filesystem::path& path, ErrorKind kind = ErrorKind::data, uint64_t most = uint64_t{1} << 32);

// A file that is not on the disk: a member of an archive, a resource, something that a host program holds.
struct ByteSource {
  std::string name;  // for messages
  uint64_t size;     // bytes
  // Fills `into` with the bytes from `offset` on, which all lie within size; returns how many it gave. May throw.
  std::function<size_t(uint64_t offset, std::span<uint8_t> into)> read;
};

// All of it, at most a megabyte at a time, in order. Throws as read_file does, Error{kind} where `read` gives another
// number of bytes than asked for or throws anything but an Error or std::bad_alloc, which go through as they are.
Bytes read_source(const ByteSource& source, ErrorKind kind = ErrorKind::data, uint64_t most = uint64_t{1} << 32);

// The text of a file, as read_file reads it: UTF-16 with its mark becomes UTF-8, a mark of UTF-8 is taken off. Throws
// Error{kind} on UTF-16 that is damaged, and on text with NULs, which is UTF-16 without a mark, or no text.
std::string read_text(const std::filesystem::path& path, ErrorKind kind = ErrorKind::data,
                      uint64_t most = uint64_t{1} << 28);
std::string decode_text(std::span<const uint8_t> bytes, const std::string& name, ErrorKind kind = ErrorKind::data);

// Whether text is UTF-8: no stray bytes, no surrogates, no letter in more bytes than it needs.
bool is_utf8(std::string_view text);

// The control character (U+0000 to U+001F, U+007F to U+009F) that stands at text[at], in UTF-8; nothing where there is
// another letter. One above U+007F takes two bytes.
std::optional<uint8_t> control_at(std::string_view text, size_t at);

// Reads little-endian numbers and ranges from the front of `bytes`. Going past the end throws Error{kind} that names
// the file and what was being read.
class Reader {
 public:
  Reader(std::span<const uint8_t> bytes, std::string name, ErrorKind kind)
      : bytes_(bytes), name_(std::move(name)), kind_(kind) {}

  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }
  const std::string& name() const { return name_; }

  void seek(uint64_t position, std::string_view what) {
    expect(position <= bytes_.size(), what, ": expected an offset within the file's ", bytes_.size(), " bytes, got ",
           position);
    position_ = static_cast<size_t>(position);
  }
  std::span<const uint8_t> take(uint64_t count, std::string_view what) {
    expect(count <= remaining(), what, ": expected ", count, " bytes at offset ", position_, ", got ", remaining(),
           "; the file is cut short or damaged");
    position_ += static_cast<size_t>(count);
    return bytes_.subspan(position_ - static_cast<size_t>(count), static_cast<size_t>(count));
  }
  template <class T>
  T number(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }
  uint32_t big_endian(int count, std::string_view what) {
    uint32_t value = 0;
    for (uint8_t byte : take(static_cast<uint64_t>(count), what)) value = value << 8 | byte;
    return value;
  }
  // Throws Error{kind} with the file's name and the arguments unless ok.
  template <class... Args>
  void expect(bool ok, const Args&... args) const {
    check(ok, kind_, '[', name_, "] ", args...);
  }

 private:
  std::span<const uint8_t> bytes_;
  size_t position_ = 0;
  std::string name_;
  ErrorKind kind_;
};

}  // namespace lgms::io
