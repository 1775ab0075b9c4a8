#pragma once
// Every file that the project writes is written through here.
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace lgms::io {

// A file that appears under its name only when it is complete: it is written under a temporary name in the same folder,
// ".lgms-HASH-N.tmp", and commit() flushes it to the disk and renames it. Whatever goes wrong before that leaves an old
// file of that name as it was, and no temporary. Whoever writes holds a lock on the temporary; of several processes
// that write one file each has its own, and the last to commit stands, whole. A process that is killed leaves its
// temporary, unlocked; the next write of the same file removes it. Errors are Error{output} that names the file and the
// reason (read-only folder, full disk, ...).
class OutputFile {
 public:
  // Throws where the folder is missing or read-only, or `path` is a folder or a device.
  explicit OutputFile(std::filesystem::path path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const uint8_t> bytes);
  void write(std::string_view text);
  void commit();  // once, last

 private:
  [[noreturn]] void fail_with(const char* action) const;
  bool take(const std::filesystem::path& name);

  std::filesystem::path path_, temporary_;
  int descriptor_ = -1;  // of the temporary, which is ours as long as this is open
};

// The whole file at once.
void write_file(const std::filesystem::path& path, std::span<const uint8_t> bytes);
void write_file(const std::filesystem::path& path, std::string_view text);

// Makes the folder and those above it, where they are missing. Throws Error{output} where that fails or where something
// that is not a folder has the name.
void ensure_directory(const std::filesystem::path& path);

}  // namespace lgms::io
