// image_fuzz CORPUS tests/data/formats: any bytes are an image or an Error{data}. Checksums would keep the fuzzer out
// of the decoder, so those of a PNG are also made right.
#include <zlib.h>

#include <cstring>
#include <vector>

#include "core/error.h"
#include "core/formats/image.h"

namespace {

void read(std::span<const uint8_t> bytes) {
  try {
    lgms::io::decode_picture(bytes, "fuzz", bytes.size() % 2 ? 1 : 3, bytes.size() % 4 < 2 ? 0 : 1000);
  } catch (const lgms::Error&) {}
  try {
    lgms::io::decode_stored(bytes, "fuzz");
  } catch (const lgms::Error&) {}
}

uint32_t big_endian(const uint8_t* p) { return uint32_t{p[0]} << 24 | p[1] << 16 | p[2] << 8 | p[3]; }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  read({data, size});
  if (size < 8 || std::memcmp(data, "\x89PNG\r\n\x1a\n", 8) != 0) return 0;
  std::vector<uint8_t> png(data, data + size);
  for (size_t chunk = 8; chunk + 12 <= size;) {
    const uint32_t length = big_endian(png.data() + chunk);
    if (length > size - chunk - 12) break;
    const auto checksum = static_cast<uint32_t>(crc32(0, png.data() + chunk + 4, length + 4));
    for (uint32_t i = 0; i < 4; ++i) png[chunk + 8 + length + i] = static_cast<uint8_t>(checksum >> (24 - 8 * i));
    chunk += 12 + length;
  }
  read(png);
  return 0;
}
