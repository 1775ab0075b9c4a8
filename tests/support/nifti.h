#pragma once
// NIfTI files byte by byte, so that readers meet what no writer of ours makes.
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/formats/nifti.h"

namespace lgms::testing {

// Where the header's fields are, in bytes.
enum NiftiField : size_t {
  kSizeofHdr = 0,
  kDim = 40,
  kIntent = 68,
  kType = 70,
  kBitpix = 72,
  kPixdim = 76,
  kVoxOffset = 108,
  kSlope = 112,
  kInter = 116,
  kUnits = 123,
  kCalMax = 124,
  kCalMin = 128,
  kDescrip = 148,
  kQformCode = 252,
  kSformCode = 254,
  kQuatern = 256,
  kQoffset = 268,
  kSrow = 280,
  kMagic = 344
};

using NiftiBytes = std::vector<uint8_t>;

template <class T>
void put_at(NiftiBytes& file, size_t offset, const T& value) {
  std::memcpy(file.data() + offset, &value, sizeof value);
}
template <class T>
T get_at(std::span<const uint8_t> file, size_t offset) {
  T value;
  std::memcpy(&value, file.data() + offset, sizeof value);
  return value;
}

// A .nii of `values`, D x H x W of them, with the spacings 1, 1.5, 2 along x, y, z and neither sform nor qform.
template <class T>
NiftiBytes nifti_of(int16_t code, const Size3& size, const std::vector<T>& values) {
  const auto header = io::make_nifti_header(size, {{{1, 0, 0, 0}, {0, 1.5, 0, 0}, {0, 0, 2, 0}}});
  NiftiBytes file(header.bytes.begin(), header.bytes.end());
  file.resize(352 + values.size() * sizeof(T));
  put_at(file, kSformCode, int16_t{0});
  put_at(file, kType, code);
  put_at(file, kBitpix, static_cast<int16_t>(8 * sizeof(T)));
  std::memcpy(file.data() + 352, values.data(), values.size() * sizeof(T));
  return file;
}

// The same in the other byte order; voxels of `each` bytes from byte 352 on.
inline NiftiBytes byte_swapped(NiftiBytes file, size_t each) {
  const auto swap = [&file](size_t offset, size_t size, size_t count) {
    for (size_t i = 0; i < count; ++i)
      std::reverse(file.begin() + static_cast<ptrdiff_t>(offset + i * size),
                   file.begin() + static_cast<ptrdiff_t>(offset + (i + 1) * size));
  };
  swap(0, 4, 1);
  swap(32, 4, 1);
  swap(36, 2, 1);
  swap(40, 2, 8);
  swap(56, 4, 3);
  swap(68, 2, 4);
  swap(76, 4, 11);
  swap(120, 2, 1);
  swap(124, 4, 6);
  swap(252, 2, 2);
  swap(256, 4, 18);
  swap(352, each, (file.size() - 352) / each);
  return file;
}

inline NiftiBytes gzipped(std::span<const uint8_t> bytes) {
  z_stream zlib{};
  constexpr int wrapper = 16, memory = 8;
  deflateInit2(&zlib, 9, Z_DEFLATED, MAX_WBITS + wrapper, memory, Z_DEFAULT_STRATEGY);
  NiftiBytes result(deflateBound(&zlib, bytes.size()));
  zlib.next_in = const_cast<uint8_t*>(bytes.data());
  zlib.avail_in = static_cast<uInt>(bytes.size());
  zlib.next_out = result.data();
  zlib.avail_out = static_cast<uInt>(result.size());
  deflate(&zlib, Z_FINISH);
  result.resize(zlib.total_out);
  deflateEnd(&zlib);
  return result;
}

}  // namespace lgms::testing
