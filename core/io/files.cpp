#include "core/io/files.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace lgms::io {

namespace fs = std::filesystem;

namespace {

constexpr size_t kLongestName = 255;

}  // namespace

void expect_no_nul(const fs::path& path, ErrorKind kind) {
  check(path.native().find('\0') == std::string::npos, kind, '[', path.native(),
        "] expected a path without NUL characters");
}

ErrorKind kind_for(int reason, ErrorKind kind) { return reason == ENOMEM ? ErrorKind::device : kind; }

Found look_at(const fs::path& path, ErrorKind kind) {
  expect_no_nul(path, kind);
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  switch (status.type()) {
    case fs::file_type::not_found: return Found::nothing;
    case fs::file_type::regular: return Found::file;
    case fs::file_type::directory: return Found::folder;
    case fs::file_type::none:
      fail(kind_for(error.value(), kind), '[', path.native(), "] cannot be looked at: ", error.message(),
           "; check the path and its permissions");
    default: return Found::other;
  }
}

bool is_file(const fs::path& path, ErrorKind kind) { return look_at(path, kind) == Found::file; }
bool is_folder(const fs::path& path, ErrorKind kind) { return look_at(path, kind) == Found::folder; }

// With readdir: the iterators of std::filesystem end the process where memory runs out.
std::vector<fs::path> entries_in(const fs::path& folder, const Accepts& accepts) {
  expect_no_nul(folder, ErrorKind::data);
  const auto expect = [&](bool ok, int reason) {
    check(ok, kind_for(reason, ErrorKind::data), '[', folder.native(),
          "] the folder cannot be read: ", std::strerror(reason));
  };
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(folder.c_str()), ::closedir);
  expect(entries != nullptr, errno);
  std::vector<fs::path> found;
  while (true) {
    errno = 0;
    const dirent* const entry = ::readdir(entries.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    fs::path path = folder / name;
    if (name != "." && name != ".." && accepts(path)) found.push_back(std::move(path));
  }
  expect(errno == 0, errno);
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<fs::path> files_in(const fs::path& folder, const Accepts& accepts) {
  std::vector<fs::path> files = entries_in(
      folder, [&](const fs::path& path) { return path.filename().native().front() != '.' && accepts(path); });
  std::error_code unknown;  // reading it will tell why
  std::erase_if(files, [&](const fs::path& path) { return fs::is_directory(path, unknown); });
  return files;
}

bool is_named(int descriptor, const fs::path& path) {
  struct stat open {
  }, named{};
  return ::fstat(descriptor, &open) == 0 && ::lstat(path.c_str(), &named) == 0 && open.st_dev == named.st_dev &&
         open.st_ino == named.st_ino;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

std::string lower_extension(const fs::path& path) { return lower(path.extension().native()); }

std::string file_name_of(std::string_view stem, std::string_view extension) {
  std::string name(stem);
  for (char& c : name)
    if (c == '/' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '_';
  for (size_t i = 0; i < name.size() && name[i] == '.'; ++i) name[i] = '_';
  if (name.empty()) name += '_';
  if (name.size() + extension.size() > kLongestName) {
    const std::string hash = text('~', hash_of(stem));
    size_t keep = kLongestName - extension.size() - hash.size();
    while (keep > 0 && (static_cast<unsigned char>(name[keep]) & 0xc0) == 0x80) --keep;  // not within a letter of UTF-8
    name = name.substr(0, keep) + hash;
  }
  return name + std::string(extension);
}

std::string hash_of(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
  return digits;
}

}  // namespace lgms::io
