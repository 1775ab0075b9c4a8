#include "core/formats/npy.h"

#include "core/error.h"
#include "core/io/output_file.h"
#include "core/io/tensor_bytes.h"

namespace lgms::io {

void write_npy(const std::filesystem::path& path, const Tensor& x) {
  check(x.dtype() == DType::f32, ErrorKind::usage, "[write_npy] x: expected f32, got ", x.dtype());
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (";
  for (const int64_t extent : x.shape().extents()) header += std::to_string(extent) + ",";
  header += ")}";
  constexpr size_t prefix = 10, alignment = 64;
  header.append(alignment - (prefix + header.size() + 1) % alignment, ' ');
  header += '\n';

  OutputFile file(path);
  file.write(std::string_view("\x93NUMPY\x01\x00", 8));
  file.write(std::string{static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)});
  file.write(header);
  file.write(bytes_of(x.dense()));
  file.commit();
}

}  // namespace lgms::io
