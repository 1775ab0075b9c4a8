#pragma once
#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "core/error.h"

namespace lgms::io {

// The entries of a zip archive that stores its entries uncompressed, as torch.save does; they point into `bytes`.
// Throws Error{kind} on what is cut short or damaged (checksums, where there are any), compressed, encrypted, above 4
// GB, or holds two entries of one name or entries that overlap. Source: PKWARE APPNOTE 6.3.10,
// sections 4.3.7, 4.3.12, 4.3.16.
using ZipEntries = std::map<std::string, std::span<const uint8_t>, std::less<>>;
ZipEntries read_zip(std::span<const uint8_t> bytes, const std::string& name, ErrorKind kind);

}  // namespace lgms::io
