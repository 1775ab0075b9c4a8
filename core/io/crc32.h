#pragma once
#include <cstdint>
#include <span>

namespace lgms::io {

// The CRC-32 of zlib, gzip and PNG (polynomial 0xedb88320, reflected): of bytes that follow others whose CRC-32 is
// `before`. Here since models are read where there is no zlib.
uint32_t crc32(std::span<const uint8_t> bytes, uint32_t before = 0);

}  // namespace lgms::io
