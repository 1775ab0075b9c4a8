#pragma once
// Files compressed by all threads of the current context.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "core/io/bytes.h"
#include "core/io/output_file.h"

namespace lgms::io {

// An OutputFile of one gzip member, with neither a name nor a time. Its pieces are compressed apart, each knowing the
// 32 KB before it, so that the file is the same for any number of threads and as small as if it were one piece.
// Memory: about 0.6 MB per thread. Throws as OutputFile does, Error{device} where there is no memory to compress.
class GzipFile {
 public:
  explicit GzipFile(const std::filesystem::path& path);
  ~GzipFile();
  GzipFile(const GzipFile&) = delete;
  GzipFile& operator=(const GzipFile&) = delete;

  void write(std::span<const uint8_t> bytes);
  void commit();  // once, last

 private:
  struct Piece;
  void compress(bool last);

  OutputFile file_;
  std::vector<Piece> pieces_;  // as many as there are threads
  Bytes buffer_;               // the end of what is in the file, then what is not
  size_t before_ = 0;          // of it in the file
  uint32_t checksum_ = 0, size_ = 0;
};

}  // namespace lgms::io
