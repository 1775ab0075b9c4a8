#pragma once
// Reads and writes safetensors: 8 bytes of header length, a JSON header {name: {dtype, shape, data_offsets}} with an
// optional "__metadata__" of strings, then the elements. Source: github.com/huggingface/safetensors, "Format".
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/named_tensor.h"

namespace lgms::io {

using Metadata = std::map<std::string, std::string>;

struct Safetensors {
  std::vector<NamedTensor> tensors;  // in the order of their data
  Metadata metadata;

  const Tensor* find(std::string_view name) const;  // nullptr where there is none; linear in the number of tensors
};

// F32, F64, I64 and U8 as they are; I32 becomes i64 and BOOL u8; other types are refused. Throws Error{model} unless
// the tensors tile the file exactly, no key stands twice, the header has at most 100 MB and shapes at most rank 5. The
// form for memory calls the file `name` in its errors. Where the metadata has "lgms.checksum" ("crc32:" and 8
// hexadecimal digits, of all bytes behind the header), the elements must have that one.
Safetensors read_safetensors(const std::filesystem::path& path);
Safetensors read_safetensors(std::span<const uint8_t> bytes, const std::string& name);

// Writes the tensors in the order given, with a checksum, the same bytes for the same arguments. The file appears under
// its name when it is complete (see output_file.h). Throws Error{usage} on a name that stands twice, Error{output} as
// OutputFile does.
void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const Metadata& metadata = {});

}  // namespace lgms::io
