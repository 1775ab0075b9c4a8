#include "core/formats/zip.h"

#include <zlib.h>

#include <algorithm>

#include "core/io/bytes.h"

namespace lgms::io {
namespace {

constexpr uint32_t kEnd = 0x06054b50, kDirectory = 0x02014b50, kLocal = 0x04034b50;
constexpr size_t kEndBytes = 22, kMaxComment = 0xffff;

// The offset of the end record: the last one whose comment reaches exactly to the end of the file.
size_t end_record(std::span<const uint8_t> bytes, const Reader& file) {
  file.expect(bytes.size() >= kEndBytes, "zip: expected at least ", kEndBytes, " bytes, got ", bytes.size());
  const size_t last = bytes.size() - kEndBytes;
  for (size_t comment = 0; comment <= std::min<size_t>(kMaxComment, last); ++comment) {
    Reader record(bytes.subspan(last - comment), file.name(), ErrorKind::data);
    if (record.number<uint32_t>("zip end record") != kEnd) continue;
    record.take(16, "zip end record");
    if (record.number<uint16_t>("zip end record") == comment) return last - comment;
  }
  file.expect(false, "zip: expected an end record, got none; the file is cut short or damaged");
  return 0;
}

// The stored bytes of the entry whose local header is at `offset`.
std::span<const uint8_t> entry_data(Reader file, uint32_t offset, uint32_t size) {
  file.seek(offset, "zip entry");
  file.expect(file.number<uint32_t>("zip entry") == kLocal, "zip: expected an entry at offset ", offset,
              ", got something else; the file is damaged");
  file.take(22, "zip entry");
  const auto name_bytes = file.number<uint16_t>("zip entry"), extra_bytes = file.number<uint16_t>("zip entry");
  file.take(uint64_t{name_bytes} + extra_bytes, "zip entry");
  return file.take(size, "zip entry");
}

}  // namespace

ZipEntries read_zip(std::span<const uint8_t> bytes, const std::string& name, ErrorKind kind) {
  Reader file(bytes, name, kind);
  file.seek(end_record(bytes, file) + 10, "zip end record");
  const auto count = file.number<uint16_t>("zip end record");
  file.take(4, "zip end record");
  const auto directory = file.number<uint32_t>("zip end record");
  file.expect(count != 0xffff && directory != 0xffffffff, "zip: expected fewer than 65535 entries and 4 GB, got more");

  ZipEntries entries;
  uint64_t total = 0;
  file.seek(directory, "zip directory");
  for (int i = 0; i < count; ++i) {
    file.expect(file.number<uint32_t>("zip directory") == kDirectory, "zip: expected ", count,
                " entries in the directory, got ", i, "; the file is damaged");
    file.take(4, "zip directory");
    const auto flags = file.number<uint16_t>("zip directory"), method = file.number<uint16_t>("zip directory");
    file.take(4, "zip directory");
    const auto checksum = file.number<uint32_t>("zip directory");
    file.number<uint32_t>("zip directory");  // the compressed size, which is the size
    const auto size = file.number<uint32_t>("zip directory");
    const auto name_bytes = file.number<uint16_t>("zip directory"),
               extra_bytes = file.number<uint16_t>("zip directory"),
               comment_bytes = file.number<uint16_t>("zip directory");
    file.take(8, "zip directory");
    const auto offset = file.number<uint32_t>("zip directory");
    const auto entry_name = file.take(name_bytes, "zip directory");
    file.take(uint64_t{extra_bytes} + comment_bytes, "zip directory");

    const std::string entry(entry_name.begin(), entry_name.end());
    file.expect(method == 0 && (flags & 1) == 0, "zip entry \"", entry,
                "\": expected stored bytes, got compressed or encrypted ones; re-save with torch.save");
    file.expect(size != 0xffffffff && offset != 0xffffffff, "zip entry \"", entry,
                "\": expected at most 4 GB, got more");
    const auto data = entry_data(file, offset, size);
    total += size;
    file.expect(total <= bytes.size(), "zip entry \"", entry, "\": it overlaps others; the file is damaged");
    // 0: none was computed (torch.utils.serialization.config.save.compute_crc32 = False).
    file.expect(checksum == 0 || crc32_z(0, data.data(), data.size()) == checksum, "zip entry \"", entry,
                "\": its checksum is wrong; the file is damaged");
    file.expect(entries.emplace(entry, data).second, "zip entry \"", entry, "\" stands twice; the file is damaged");
  }
  return entries;
}

}  // namespace lgms::io
