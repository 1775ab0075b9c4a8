#pragma once
// Zip archives of stored entries, and archives that lie.
#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace lgms::testing {

struct ZipEntry {
  std::string name, contents;
  uint16_t method = 0;
  uint32_t size_added = 0;  // what the directory lies by
  bool shared = false;      // lies where the one before lies
};

template <class T>
void put(std::vector<uint8_t>& bytes, T value) {
  bytes.resize(bytes.size() + sizeof value);
  std::memcpy(bytes.data() + bytes.size() - sizeof value, &value, sizeof value);
}

inline void put(std::vector<uint8_t>& bytes, const std::string& value) {
  bytes.insert(bytes.end(), value.begin(), value.end());
}

inline std::vector<uint8_t> zip_of(const std::vector<ZipEntry>& entries) {
  std::vector<uint8_t> zip, directory;
  uint32_t offset = 0;
  for (const ZipEntry& e : entries) {
    if (!e.shared) offset = static_cast<uint32_t>(zip.size());
    const auto size = static_cast<uint32_t>(e.contents.size());
    const auto checksum =
        static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(e.contents.data()), static_cast<uInt>(size)));
    const auto put_common = [&](std::vector<uint8_t>& into, uint32_t stored) {
      for (const uint16_t field : {uint16_t{20}, uint16_t{0}, e.method, uint16_t{0}, uint16_t{0}}) put(into, field);
      for (const uint32_t field : {checksum, stored, stored}) put(into, field);
      for (const size_t field : {e.name.size(), size_t{0}}) put(into, static_cast<uint16_t>(field));
    };
    if (!e.shared) {
      put(zip, uint32_t{0x04034b50});
      put_common(zip, size);
      put(zip, e.name);
      put(zip, e.contents);
    }
    put(directory, uint32_t{0x02014b50});
    put(directory, uint16_t{20});
    put_common(directory, size + e.size_added);
    for (int field = 0; field < 5; ++field) put(directory, uint16_t{0});
    put(directory, offset);
    put(directory, e.name);
  }
  offset = static_cast<uint32_t>(zip.size());
  const auto count = static_cast<uint32_t>(entries.size());
  zip.insert(zip.end(), directory.begin(), directory.end());
  for (const uint32_t field :
       {uint32_t{0x06054b50}, uint32_t{0}, count | count << 16, static_cast<uint32_t>(directory.size()), offset})
    put(zip, field);
  put(zip, uint16_t{0});
  return zip;
}

}  // namespace lgms::testing
