// nifti_fuzz CORPUS tests/fuzz/nifti: any bytes are a volume with an orientation, or an Error{data}. The bytes are also
// tried as the contents of a .nii.gz whose checksum is right.
#include <zlib.h>

#include <vector>

#include "core/error.h"
#include "core/formats/nifti.h"
#include "core/transform/orientation.h"

namespace {

void read(std::span<const uint8_t> bytes) {
  constexpr uint64_t most = 1 << 24;
  try {
    const auto volume = lgms::io::decode_nifti(bytes, "fuzz", most);
    lgms::transform::to_ras(volume.header.affine);
  } catch (const lgms::Error& e) {
    if (e.kind() != lgms::ErrorKind::data) throw;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  read({data, size});
  z_stream zlib{};
  constexpr int gzip_wrapper = 16, memory = 8;
  if (deflateInit2(&zlib, 1, Z_DEFLATED, MAX_WBITS + gzip_wrapper, memory, Z_DEFAULT_STRATEGY) != Z_OK) return 0;
  std::vector<uint8_t> compressed(deflateBound(&zlib, size));
  zlib.next_in = const_cast<uint8_t*>(data);
  zlib.avail_in = static_cast<uInt>(size);
  zlib.next_out = compressed.data();
  zlib.avail_out = static_cast<uInt>(compressed.size());
  deflate(&zlib, Z_FINISH);
  compressed.resize(zlib.total_out);
  deflateEnd(&zlib);
  read(compressed);
  return 0;
}
