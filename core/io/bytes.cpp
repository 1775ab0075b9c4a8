#include "core/io/bytes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "core/io/files.h"

namespace lgms::io {

InputFile::InputFile(const std::filesystem::path& path, ErrorKind kind) : name_(path.string()), kind_(kind) {
  expect_no_nul(path, kind);
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  const int reason = errno;
  check(descriptor_ >= 0, kind_for(reason, kind), '[', name_,
        "] expected a readable file, got: ", std::strerror(reason), reason == ENOENT ? "; check the path" : "");
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
    const int reason = errno;
    check(got >= 0, kind_for(reason, kind_), '[', name_, "] cannot be read: ", std::strerror(reason));
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

namespace {

constexpr size_t kPiece = 1 << 20;  // of a source, read at a time

Bytes room_for(uint64_t size, const std::string& name, ErrorKind kind, uint64_t most) {
  check(size <= most, kind, '[', name, "] expected at most ", most, " bytes, got ", size);
  try {
    return Bytes(size);
  } catch (const std::bad_alloc&) { fail(ErrorKind::device, '[', name, "] no memory for its ", size, " bytes"); }
}

}  // namespace

Bytes read_file(const std::filesystem::path& path, ErrorKind kind, uint64_t most) {
  InputFile file(path, kind);
  const std::string name = path.string();
  Bytes bytes = room_for(file.size(), name, kind, most);
  const size_t got = file.read(bytes);
  check(got == bytes.size(), kind, '[', name, "] expected ", bytes.size(), " bytes, got ", got,
        "; it became shorter while being read");
  return bytes;
}

Bytes read_source(const ByteSource& source, ErrorKind kind, uint64_t most) {
  check(source.size > 0, kind, '[', source.name, "] expected a file with contents, got an empty one");
  Bytes bytes = room_for(source.size, source.name, kind, most);
  for (size_t at = 0; at < bytes.size();) {
    const std::span<uint8_t> into = std::span(bytes).subspan(at, std::min(kPiece, bytes.size() - at));
    size_t got = 0;
    try {
      got = source.read(at, into);
    } catch (const Error&) { throw; } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception& e) {
      fail(kind, '[', source.name, "] cannot be read at byte ", at, ": ", e.what());
    } catch (...) { fail(kind, '[', source.name, "] cannot be read at byte ", at, ": its source threw"); }
    check(got == into.size(), kind, '[', source.name, "] expected ", into.size(), " bytes at byte ", at, " of ",
          source.size, ", got ", got);
    at += got;
  }
  return bytes;
}

namespace {

void append_utf8(std::string& out, uint32_t letter) {
  if (letter < 0x80) {
    out += static_cast<char>(letter);
    return;
  }
  const int more = letter < 0x800 ? 1 : letter < 0x10000 ? 2 : 3;
  out += static_cast<char>((more == 1 ? 0xc0 : more == 2 ? 0xe0 : 0xf0) | letter >> 6 * more);
  for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80 | (letter >> 6 * i & 0x3f));
}

std::string from_utf16(std::span<const uint8_t> bytes, bool big_endian, const std::string& name, ErrorKind kind) {
  check(bytes.size() % 2 == 0, kind, '[', name, "] expected UTF-16, as its mark says, got an odd number of bytes");
  const auto unit = [&](size_t i) -> uint32_t {
    return big_endian ? bytes[i] << 8 | bytes[i + 1] : bytes[i + 1] << 8 | bytes[i];
  };
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 2) {
    uint32_t letter = unit(i);
    const bool pair = letter >= 0xd800 && letter < 0xdc00 && i + 3 < bytes.size() && unit(i + 2) >> 10 == 0xdc00 >> 10;
    check(pair || letter < 0xd800 || letter >= 0xe000, kind, '[', name,
          "] expected UTF-16, as its mark says, got half a letter at byte ", i + 2, "; save it as UTF-8");
    if (pair) {
      letter = 0x10000 + ((letter - 0xd800) << 10) + (unit(i + 2) - 0xdc00);
      i += 2;
    }
    append_utf8(text, letter);
  }
  return text;
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t at) -> uint32_t { return at < text.size() ? static_cast<uint8_t>(text[at]) : 0; };
    const uint32_t first = byte(i);
    const int more = first < 0x80 ? 0 : first >> 5 == 6 ? 1 : first >> 4 == 14 ? 2 : first >> 3 == 30 ? 3 : -1;
    if (more < 0) return false;
    uint32_t letter = more == 0 ? first : first & (0x3fu >> more);
    for (int k = 1; k <= more; ++k) {
      if (byte(i + static_cast<size_t>(k)) >> 6 != 2) return false;
      letter = letter << 6 | (byte(i + static_cast<size_t>(k)) & 0x3f);
    }
    constexpr uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (letter < least[more] || letter > 0x10ffff || letter >> 11 == 0xd800 >> 11) return false;
    i += static_cast<size_t>(more) + 1;
  }
  return true;
}

std::optional<uint8_t> control_at(std::string_view text, size_t at) {
  const auto byte = static_cast<uint8_t>(text[at]);
  if (byte < 0x20 || byte == 0x7f) return byte;
  const auto next = static_cast<uint8_t>(at + 1 < text.size() ? text[at + 1] : 0);
  return byte == 0xc2 && next >= 0x80 && next < 0xa0 ? std::optional(next) : std::nullopt;
}

std::string decode_text(std::span<const uint8_t> bytes, const std::string& name, ErrorKind kind) {
  const auto marked = [&](std::initializer_list<uint8_t> mark) {
    return bytes.size() >= mark.size() && std::equal(mark.begin(), mark.end(), bytes.begin());
  };
  std::string text;
  if (marked({0xff, 0xfe}) || marked({0xfe, 0xff})) {
    text = from_utf16(bytes.subspan(2), bytes[0] == 0xfe, name, kind);
  } else {
    const auto plain = bytes.subspan(marked({0xef, 0xbb, 0xbf}) ? 3 : 0);
    text.assign(plain.begin(), plain.end());
  }
  check(text.find('\0') == std::string::npos, kind, '[', name,
        "] expected text, got NUL characters: an encoding without a mark (UTF-16?), or no text; save it as UTF-8");
  return text;
}

std::string read_text(const std::filesystem::path& path, ErrorKind kind, uint64_t most) {
  return decode_text(read_file(path, kind, most), path.string(), kind);
}

}  // namespace lgms::io
